"""ObjNavDescription: ObjectNav for one object that is described by how it looks."""

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from flare.tasks.instructions import words_of_type
from flare.tasks.object_nav import ObjectNav
from flare.tasks.scene import Goal, Scene, SceneObject

_SMALL, _LARGE = 0.6, 1.6  # volume against the median of the kind in the house
# Upper ends of the hues that have a name, in degrees round the colour circle from red.
_HUES = ((15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (200, "turquoise"),
         (260, "blue"), (290, "purple"), (340, "pink"), (361, "red"))  # fmt: skip
_GREY = 0.12  # chroma below which a colour has no hue
_SIZES = ("small", "large")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjNavDescription(ObjectNav):
    """'find the small blue vase': the only object in the house that fits the words.

    The original's texts are people's annotations of assets. Our bodies show a size and a colour,
    so these are the words that the camera can check.
    """

    name: ClassVar[str] = "ObjNavDescription"
    max_words: ClassVar[int] = 12
    looks_matter: ClassVar[bool] = True

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every object that its type, colour and, where it has one, size word single out."""
        goals = []
        for name, items in scene.by_type(types).items():
            looks = [(size_word(item, items), color_word(item.color)) for item in items]
            for item, (size, color) in zip(items, looks, strict=True):
                fitting = [look for look in looks if look[1] == color and size in ("", look[0])]
                if len(fitting) == 1:
                    words = " ".join(filter(None, ("the", size, color, words_of_type(name))))
                    details = (("description", words),)
                    goals.append(
                        Goal(label=name, words=words, targets=(item.index,), details=details)
                    )
        return goals

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """ObjectNav's, sizes and colours."""
        hues = (name for _, name in _HUES)
        return ("the black white gray brown", *_SIZES, *hues, *ObjectNav.vocabulary(self, types))


def size_word(item: SceneObject, items: list[SceneObject]) -> str:
    """'small' or 'large' against the kind's median in this house, '' in between."""
    usual = median(other.volume for other in items)
    if item.volume < _SMALL * usual:
        return "small"
    return "large" if item.volume > _LARGE * usual else ""


def color_word(color: tuple[float, float, float]) -> str:
    """The everyday name of an sRGB colour in [0, 1]."""
    hue, lightness, _ = colorsys.rgb_to_hls(*color)
    chroma = max(color) - min(color)
    if lightness < 0.12:
        return "black"
    if chroma < _GREY:
        return "white" if lightness > 0.85 else "gray"
    word = next(name for end, name in _HUES if 360.0 * hue < end)
    is_brown = word in ("red", "orange", "yellow") and chroma < 0.55 and lightness < 0.5
    return "brown" if is_brown else word
