"""PickUp: the object is in view and close; take it, then say done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.tasks.hold import PICKUP_TYPES, HoldTask
from flare.tasks.instructions import PICK_UP_VERBS, pick_up, words_of_type
from flare.tasks.scene import Goal, HouseView

_CLOSE = 2.0  # m to walk; a target across a table may be seen from far around it


@dataclass(frozen=True, kw_only=True, slots=True)
class PickUp(HoldTask):
    """'pick up a mug', from a place that sees one within 2 m."""

    name: ClassVar[str] = "PickUp"
    start_turn_deg: ClassVar[float] = 30.0  # the navigation camera sees 45 degrees to each side

    def starts(
        self, house: HouseView, goal: Goal, nearest: float, farthest: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Places that see a target within 2 m and have few steps to go until the arm reaches one.

        The distances of a configuration are those of tasks that search, and are not asked.
        """
        walk = house.geodesic(list(goal.targets), "hold")
        sees = house.geodesic(list(goal.targets)) == 0
        return sees & (walk >= 0) & (walk <= _CLOSE), walk

    def sentence(self, goal: Goal, draw: int) -> str:
        """'pick up a mug'."""
        return pick_up(goal.words, draw)

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """Verbs, articles and the names of what can be picked up."""
        return (*PICK_UP_VERBS, "a an", *(words_of_type(name) for name in PICKUP_TYPES))
