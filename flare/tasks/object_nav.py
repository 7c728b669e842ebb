"""ObjectNav: walk until an instance of the wanted category is seen within 2 m, then say done.

Success rule and sentence of CHORES: at ``done`` at least one target is visible in the navigation
camera within 2 m. The other tasks of the family differ in their goals and sentences only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.assets import object_types
from flare.tasks.instructions import GO_TO_VERBS, go_to, with_article, words_of_type
from flare.tasks.scene import MAX_TARGETS, Goal, Scene, indices
from flare.tasks.task import Facts, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectNav(Task):
    """'find an apple': any instance of the type."""

    name: ClassVar[str] = "ObjectNav"

    def reached(self, facts: Facts) -> NDArray[np.bool_]:
        """A target is in the navigation image and within 2 m."""
        seen: NDArray[np.bool_] = facts["target_visible"] != 0
        return seen

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every type with 1 to MAX_TARGETS instances: of more, any place would nearly do."""
        return [
            Goal(label=name, words=with_article(words_of_type(name)), targets=indices(items))
            for name, items in scene.by_type(types).items()
            if len(items) <= MAX_TARGETS
        ]

    def sentence(self, goal: Goal, draw: int) -> str:
        """'find an apple'."""
        return go_to(goal.words, draw)

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """Verbs, articles and type names."""
        return (*GO_TO_VERBS, "a an", *(words_of_type(name) for name in types or object_types()))
