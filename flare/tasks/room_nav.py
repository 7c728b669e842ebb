"""RoomNav: walk into a room of the wanted type, then say done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.tasks.instructions import GO_TO_VERBS, go_to, with_article, words_of_type
from flare.tasks.scene import MAX_ROOMS, Goal, HouseView, Scene
from flare.tasks.shaping import ShapingMemory
from flare.tasks.task import Facts, Task

ROOM_TYPES = ("Bathroom", "Bedroom", "Kitchen", "LivingRoom")  # of ProcTHOR


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomNav(Task):
    """'find a kitchen': any room of the type, from another room."""

    name: ClassVar[str] = "RoomNav"
    goal_kind: ClassVar[str] = "enter_room"

    def reached(self, facts: Facts) -> NDArray[np.bool_]:
        """The agent is in a goal room."""
        inside: NDArray[np.bool_] = facts["in_target_room"] != 0
        return inside

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every type of room, of houses with other rooms to start in."""
        return [
            Goal(label=name, words=with_article(words_of_type(name)), rooms=tuple(rooms))
            for name, rooms in scene.rooms_of_type().items()
            if len(rooms) < len(scene.room_types) and rooms[-1] < MAX_ROOMS
        ]

    def starts(
        self, house: HouseView, goal: Goal, nearest: float, farthest: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Places in other rooms from which there is a way."""
        walk = house.geodesic(list(goal.rooms), "enter_room")
        elsewhere = ~np.isin(house.reachable_rooms(), goal.rooms)
        return elsewhere & (walk >= nearest) & (walk <= farthest), walk

    def sentence(self, goal: Goal, draw: int) -> str:
        """'find a kitchen'."""
        return go_to(goal.words, draw)

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """Verbs, articles and types of room."""
        return (*GO_TO_VERBS, "a an", *(words_of_type(name) for name in ROOM_TYPES))

    def distance(self, facts: Facts) -> NDArray[np.float64]:
        """Metres to the nearest goal room's centroid."""
        distance: NDArray[np.float64] = facts["room_distance"].astype(np.float64)
        return distance

    def shape(
        self, memory: ShapingMemory, rows: NDArray[np.int64], facts: Facts
    ) -> NDArray[np.float64]:
        """Progress only: the original charges failed actions in the ObjectNav family alone."""
        return self.reward.shaping_weight * memory.progress(rows, self.distance(facts))
