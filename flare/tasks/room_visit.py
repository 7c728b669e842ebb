"""RoomVisit: enter every room, report each with sub_done, then say done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS
from flare.tasks.room_sets import count_rooms
from flare.tasks.scene import MAX_ROOMS, Goal, HouseView, Scene
from flare.tasks.shaping import GRID_SIZE, ShapingMemory
from flare.tasks.task import Facts, Task

SUB_DONE = ACTION_NAMES.index("sub_done")
_REACTION = "indicate when you have seen a new room and when you are done"
# Of the original's shaper.
_PLACE, _ROOM, _REPORT, _WRONG_REPORT = 0.005, 2.0, 2.0, -0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomVisit(Task):
    """Every room of the house; the start's counts like any other."""

    name: ClassVar[str] = "RoomVisit"
    goal_kind: ClassVar[str] = "visit_rooms"
    actions: ClassVar[tuple[str, ...]] = tuple(
        name for name in ACTION_NAMES if name in (*NAVIGATION_ACTIONS, "sub_done")
    )
    evaluation_steps: ClassVar[int] = 1000
    max_words: ClassVar[int] = 24

    def reached(self, facts: Facts) -> NDArray[np.bool_]:
        """As many rooms were reported as the house has."""
        reported: NDArray[np.bool_] = count_rooms(facts["rooms_reported"]) == facts["num_rooms"]
        return reported

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """The one goal of a house of two to MAX_ROOMS rooms; a single room is no tour."""
        count = len(scene.room_types)
        if not 2 <= count <= MAX_ROOMS:
            return []
        return [Goal(label=f"{count} rooms", words=str(count), rooms=tuple(range(count)))]

    def starts(
        self, house: HouseView, goal: Goal, nearest: float, farthest: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Every place, in houses whose every room can be stood in; the length is not known."""
        rooms = house.reachable_rooms()
        is_whole = len(np.intersect1d(rooms, goal.rooms)) == len(goal.rooms)
        return np.full(len(rooms), is_whole), np.full(len(rooms), -1.0, np.float32)

    def sentence(self, goal: Goal, draw: int) -> str:
        """The original's fixed sentence."""
        return f"go to all {goal.words} rooms in the house. {_REACTION}"

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """The sentence and the numbers of rooms."""
        return ("go to all rooms in the house", _REACTION, *map(str, range(2, MAX_ROOMS + 1)))

    def distance(self, facts: Facts) -> NDArray[np.float64]:
        """Nothing to come nearer to."""
        return np.zeros(len(facts))

    def shape(
        self, memory: ShapingMemory, rows: NDArray[np.int64], facts: Facts
    ) -> NDArray[np.float64]:
        """New places, new rooms, right and wrong reports."""
        place = memory.first_visit(rows, facts["position"][:, 0], facts["position"][:, 2])
        room = memory.first_entry(rows, facts["room"])
        report = np.where(facts["sub_done_success"] != 0, _REPORT, _WRONG_REPORT)
        paid = np.where(facts["last_action"] == SUB_DONE, report, 0.0)
        return self.reward.shaping_weight * (_PLACE * place + _ROOM * room + paid)

    def metrics(self, fact: Any, actions: tuple[str, ...]) -> dict[str, float]:  # noqa: ANN401 (a structured row)
        """Also the reports and how many of them were right."""
        reported = int(fact["rooms_reported"]).bit_count()
        reports = actions.count("sub_done")
        metrics = Task.metrics(self, fact, actions)
        metrics |= {"rooms_reported": reported, "reports": reports}
        return metrics | ({"report_accuracy": reported / reports} if reports else {})

    def path_metrics(self, path: NDArray[np.float32], house: HouseView) -> dict[str, float]:
        """The original's coverage: how many of the places that can be stood at were visited."""
        visited, reachable = (_places(points) for points in (path, house.reachable()))
        covered = np.intersect1d(visited, reachable)
        return {"places_visited": len(covered), "coverage": len(covered) / len(reachable)}


def _places(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Distinct places of the original's grid as one number each; points are [n, 2] x, z in m."""
    columns, lines = np.rint(points.T / GRID_SIZE).astype(np.int64)
    return np.unique(lines * 2**32 + columns)
