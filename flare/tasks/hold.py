"""What PickUp and Fetch share: a target is held at ``done``.

Its own file, as neither task is a special case of the other.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.specs import ACTION_NAMES
from flare.tasks.instructions import with_article, words_of_type
from flare.tasks.scene import MAX_TARGETS, Goal, HouseView, Scene, indices
from flare.tasks.shaping import ShapingMemory
from flare.tasks.task import Facts, Task

# CHORES' types that the arm can take, of its fifteen.
PICKUP_TYPES = (
    "AlarmClock", "Apple", "BasketBall", "Bowl", "Laptop", "Mug", "SprayBottle", "Vase",
)  # fmt: skip
_BONUS = 5.0  # of the original's shaper: first touch, first hold, and each metre of progress


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldTask(Task):
    """A task whose goal is an object in the hand."""

    goal_kind: ClassVar[str] = "hold"
    actions: ClassVar[tuple[str, ...]] = ACTION_NAMES

    def reached(self, facts: Facts) -> NDArray[np.bool_]:
        """A target is in the hand."""
        held: NDArray[np.bool_] = facts["holds_target"] != 0
        return held

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every type of PICKUP_TYPES; targets are its instances that can be picked up."""
        wanted = tuple(name for name in PICKUP_TYPES if not types or name in types)
        found = {
            name: [item for item in items if item.pickupable]
            for name, items in (scene.by_type(wanted) if wanted else {}).items()
        }
        return [
            Goal(label=name, words=with_article(words_of_type(name)), targets=indices(items))
            for name, items in found.items()
            if 1 <= len(items) <= MAX_TARGETS
        ]

    def starts(
        self, house: HouseView, goal: Goal, nearest: float, farthest: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Places from which a place where the arm reaches a target can be walked to."""
        walk = house.geodesic(list(goal.targets), "hold")
        return (walk >= nearest) & (walk <= farthest), walk

    def distance(self, facts: Facts) -> NDArray[np.float64]:
        """Metres from the hand to the nearest target."""
        distance: NDArray[np.float64] = facts["target_hand_distance"].astype(np.float64)
        return distance

    def shape(
        self, memory: ShapingMemory, rows: NDArray[np.int64], facts: Facts
    ) -> NDArray[np.float64]:
        """Progress of the hand, first touch, first hold.

        The original means to pay the first hold but never does: nothing sets the flag it asks for.
        """
        progress = memory.progress(rows, self.distance(facts))
        touch = memory.first_touch(rows, facts["target_in_reach"] != 0)
        hold = memory.first_hold(rows, facts["holds_target"] != 0)
        return _BONUS * (self.reward.shaping_weight * progress + touch + hold)

    def metrics(self, fact: Any, actions: tuple[str, ...]) -> dict[str, float]:  # noqa: ANN401 (a structured row)
        """Also whether pickup was tried, and what became of it."""
        metrics = Task.metrics(self, fact, actions)
        return metrics | {
            "pickups_tried": actions.count("pickup"),
            "holds_target": int(fact["holds_target"]),
            "holds_anything": int(fact["held_object"] >= 0),
        }
