"""ObjNavLocalRef: ObjectNav for an object that is known by what it is near or on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.assets import object_types
from flare.tasks.instructions import with_article, words_of_type
from flare.tasks.object_nav import ObjectNav
from flare.tasks.scene import MAX_TARGETS, Goal, Scene, SceneObject, floor_gaps, indices

_NEAR = 1.0  # m between the boxes seen from above, in one room
_NEIGHBOURS = 4  # kinds of neighbour of an instance that are spoken of, nearest first


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjNavLocalRef(ObjectNav):
    """'find a mug near a lamp and a bed' or 'on a desk': every instance of which that is true."""

    name: ClassVar[str] = "ObjNavLocalRef"
    max_words: ClassVar[int] = 16
    word_order_matters: ClassVar[bool] = True

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """References that single out some instances of a type from others, or name the only one."""
        goals: list[Goal] = []
        gaps = floor_gaps(scene.objects)
        for items in scene.by_type(types).values():
            goals.extend(_near(items, [_neighbours(item, scene, gaps) for item in items]))
            goals.extend(_on(items, scene))
        return goals

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """ObjectNav's and, as landmarks, every type of object."""
        landmarks = map(words_of_type, object_types())
        return ("near on and", *ObjectNav.vocabulary(self, types), *landmarks)


def _neighbours(item: SceneObject, scene: Scene, gaps: NDArray[np.float64]) -> list[str]:
    """The known types near an object, nearest first."""
    nearest: dict[str, float] = {}
    for i in np.flatnonzero(gaps[item.index] <= _NEAR):
        other = scene.objects[i]
        if other.room != item.room or other.type == item.type or other.type not in object_types():
            continue
        gap = float(gaps[item.index, i])
        nearest[other.type] = min(gap, nearest.get(other.type, gap))
    return sorted(nearest, key=lambda name: (nearest[name], name))


def _near(items: list[SceneObject], neighbours: list[list[str]]) -> Iterator[Goal]:
    pairs = sorted(
        {tuple(sorted(pair)) for near in neighbours for pair in combinations(near[:_NEIGHBOURS], 2)}
    )
    noun = with_article(words_of_type(items[0].type))
    for a, b in pairs:
        answers = [i for i, near in zip(items, neighbours, strict=True) if a in near and b in near]
        first, second = (with_article(words_of_type(name)) for name in (a, b))
        yield from _goal(items, answers, f"{noun} near {first} and {second}", "near", (a, b))


def _on(items: list[SceneObject], scene: Scene) -> Iterator[Goal]:
    parents = {item.index: scene.objects[item.parent].type for item in items if item.parent >= 0}
    noun = with_article(words_of_type(items[0].type))
    for below in sorted(object_types().intersection(parents.values())):
        answers = [item for item in items if parents.get(item.index) == below]
        words = f"{noun} on {with_article(words_of_type(below))}"
        yield from _goal(items, answers, words, "on", (below,))


def _goal(
    items: list[SceneObject],
    answers: list[SceneObject],
    words: str,
    family: str,
    landmarks: tuple[str, ...],
) -> Iterator[Goal]:
    is_told_apart = len(answers) < len(items) or len(items) == 1
    if is_told_apart and len(answers) <= MAX_TARGETS:
        yield Goal(
            label=items[0].type,
            words=words,
            targets=indices(answers),
            family=family,
            details=(("reference_type", family), ("reference_synsets", landmarks)),
        )
