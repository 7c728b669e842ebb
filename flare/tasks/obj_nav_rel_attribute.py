"""ObjNavRelAttribute: ObjectNav for the one instance that stands out among its kind in a room."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from flare.assets import object_types
from flare.tasks.instructions import words_of_type
from flare.tasks.object_nav import ObjectNav
from flare.tasks.room_nav import ROOM_TYPES
from flare.tasks.scene import Goal, Scene, SceneObject, distance

_MARGIN = 0.3  # m by which the closest or furthest must beat every other, centre to centre
_SMALLER = 0.8  # the smallest has at most this share of the next one's volume


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjNavRelAttribute(ObjectNav):
    """'find the mug closest to the bed in the bedroom', furthest from it, or the smallest mug.

    The room is the only one of its kind, the bed the only one in it, and one mug wins clearly.
    """

    name: ClassVar[str] = "ObjNavRelAttribute"
    max_words: ClassVar[int] = 16
    word_order_matters: ClassVar[bool] = True

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every clear winner among two or more of a type in a room."""
        goals: list[Goal] = []
        for room, room_type in scene.single_rooms().items():
            inside: dict[str, list[SceneObject]] = {}
            for name, items in scene.by_type(()).items():
                here = [item for item in items if item.room == room]
                if here:
                    inside[name] = here
            for name, items in inside.items():
                if len(items) >= 2 and (not types or name in types):
                    goals.extend(_standing_out(items, inside, room_type))
        return goals

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """ObjectNav's, types of room and, as landmarks, every type of object."""
        texts = ("the closest to furthest from smallest in", *ObjectNav.vocabulary(self, types))
        return (*texts, *map(words_of_type, ROOM_TYPES), *map(words_of_type, object_types()))


def _standing_out(
    items: list[SceneObject], inside: dict[str, list[SceneObject]], room_type: str
) -> Iterator[Goal]:
    """Goals among the instances of one type in one room, with every landmark there."""
    name, noun = items[0].type, words_of_type(items[0].type)
    place, room = words_of_type(room_type), ("room_type", room_type)
    smallest, next_one = sorted(items, key=lambda item: item.volume)[:2]
    if smallest.volume <= _SMALLER * next_one.volume:
        words = f"the smallest {noun} in the {place}"
        yield Goal(
            label=name,
            words=words,
            targets=(smallest.index,),
            family="smallest",
            details=(room, ("rel_attribute", "smallest")),
        )
    for landmark_type, landmarks in inside.items():
        if landmark_type == name or len(landmarks) != 1 or landmark_type not in object_types():
            continue
        there = words_of_type(landmark_type)
        far = {item.index: distance(item, landmarks[0]) for item in items}
        order = sorted(far, key=lambda index: far[index])
        for family, winner, rival in (
            ("closest to", order[0], order[1]),
            ("furthest from", order[-1], order[-2]),
        ):
            if abs(far[winner] - far[rival]) >= _MARGIN:
                words = f"the {noun} {family} the {there} in the {place}"
                details = (room, ("rel_attribute", (family, landmark_type)))
                yield Goal(
                    label=name, words=words, targets=(winner,), family=family, details=details
                )
