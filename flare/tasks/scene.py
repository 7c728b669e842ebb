"""A house as tasks see it: objects and rooms with their geometry, and the goals found in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MAX_TARGETS = 16  # csrc/sim/facts.hpp kMaxTargets
MAX_ROOMS = 64  # csrc/sim/facts.hpp kMaxRooms


class HouseView(Protocol):
    """What tasks and sampler read of a house; any world's house object that answers will do."""

    @property
    def source(self) -> str:
        """What to call the house in messages."""
        ...

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Objects in index order, with the keys that SceneObject names and "id"."""
        ...

    def rooms(self) -> Sequence[Mapping[str, Any]]:
        """Rooms in index order; of each the keys "type" and "id" are read."""
        ...

    def reachable(self) -> NDArray[np.float32]:
        """[M, 2] x, z of the places where the robot can stand, m."""
        ...

    def reachable_rooms(self) -> NDArray[np.int32]:
        """[M] index of the room of each place, -1 in none."""
        ...

    def geodesic(self, ids: list[int], goal: str = "see") -> NDArray[np.float32]:
        """[M] m to walk from each place; -1 where there is no way.

        Until a target is within 2 m ("see") or in the arm's reach ("hold"), or into one of the
        rooms ("enter_room"); ids are objects, or rooms for the last.
        """
        ...

    def blocked(self, x: float, z: float, yaw_deg: float) -> bool:
        """Whether the robot cannot stand there with this heading."""
        ...


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of a house."""

    index: int
    type: str
    center: tuple[float, float, float]  # x, y, z of its box, m
    size: tuple[float, float, float]  # along its own axes, m
    yaw_deg: float
    room: int  # -1 in none
    parent: int  # the object it stands on, -1 for none
    pickupable: bool
    color: tuple[float, float, float]  # sRGB in [0, 1]

    @property
    def volume(self) -> float:
        """m³ of its box."""
        return self.size[0] * self.size[1] * self.size[2]


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to ask for in one house: what would do, and the words for it."""

    label: str  # groups results in tables, e.g. the object type
    words: str  # the goal in the sentence, e.g. "the mug closest to the bed in the bedroom"
    targets: tuple[int, ...] = ()  # every object that would do
    rooms: tuple[int, ...] = ()  # every room that would do
    # Goals of a family share its chance to be drawn, so that many goals of one kind ("closest to")
    # do not crowd out the few of another ("smallest").
    family: str = ""
    # What the published task specs say beside targets: names and values of their keys, with object
    # types in place of synsets.
    details: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


class Scene:
    """Objects and rooms of one house, read once."""

    def __init__(self, house: HouseView) -> None:
        names = [name for name in SceneObject.__dataclass_fields__ if name != "index"]
        self.objects = tuple(
            SceneObject(index=i, **{name: item[name] for name in names})
            for i, item in enumerate(house.objects())
        )
        self.room_types = tuple(str(room["type"]) for room in house.rooms())

    def by_type(self, types: tuple[str, ...]) -> dict[str, list[SceneObject]]:
        """Instances of each of these types, of every type if none is named; sorted by type."""
        found: dict[str, list[SceneObject]] = {}
        for item in self.objects:
            if not types or item.type in types:
                found.setdefault(item.type, []).append(item)
        return dict(sorted(found.items()))

    def rooms_of_type(self) -> dict[str, list[int]]:
        """Indices of the rooms of each type, sorted by type."""
        found: dict[str, list[int]] = {}
        for i, room_type in enumerate(self.room_types):
            found.setdefault(room_type, []).append(i)
        return dict(sorted(found.items()))

    def single_rooms(self) -> dict[int, str]:
        """Rooms that "the kitchen" names: the only ones of their type. Index to type."""
        return {
            rooms[0]: room_type
            for room_type, rooms in self.rooms_of_type().items()
            if len(rooms) == 1
        }


def distance(a: SceneObject, b: SceneObject) -> float:
    """Metres between the centres."""
    return float(np.linalg.norm(np.subtract(a.center, b.center)))


def floor_gaps(objects: Sequence[SceneObject]) -> NDArray[np.float64]:
    """Metres between each two boxes seen from above, each taken as its bounding rectangle; [K, K].

    Zero where they overlap, and of each with itself.
    """
    if not objects:
        return np.zeros((0, 0))
    centers = np.array([item.center for item in objects])[:, [0, 2]]
    sides = np.array([item.size for item in objects])[:, [0, 2]]
    turns = np.deg2rad([item.yaw_deg for item in objects])
    c, s = np.abs(np.cos(turns))[:, None], np.abs(np.sin(turns))[:, None]
    half = (c * sides + s * sides[:, ::-1]) / 2  # of the rectangle round the turned box
    apart = np.abs(centers[:, None] - centers) - half[:, None] - half
    gaps: NDArray[np.float64] = np.hypot(*np.moveaxis(np.maximum(apart, 0.0), -1, 0))
    np.fill_diagonal(gaps, 0.0)
    return gaps


def indices(items: Sequence[SceneObject]) -> tuple[int, ...]:
    """Their places in the house."""
    return tuple(item.index for item in items)
