"""What houses are like, in numbers: for a file of them, and how far two files lie apart."""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flare.assets.looks import GOAL_TYPES
from flare.houses.bodies import bodies_of, type_of
from flare.houses.files import read_houses
from flare.houses.schema import floor_points

_GRID_CELL = 0.1 * 0.1  # m² that one place of the simulator's navigation grid stands for

Document = dict[str, Any]


class Spread(NamedTuple):
    """Where most of a measure's values lie."""

    low: float  # a tenth of the values is lower
    median: float
    high: float  # a tenth is higher
    num_values: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HouseStatistics:
    """Numbers of one or more houses."""

    num_houses: int
    spreads: Mapping[str, Spread]  # measure → its spread over houses, rooms, walls or doors
    shares: Mapping[str, Mapping[str, float]]  # kind → value → share; each kind sums to 1
    targets: Mapping[str, float]  # target category → share of the houses that hold one

    def distance(self, other: "HouseStatistics", kind: str) -> float:
        """Total variation between two files' shares of a kind: half the summed differences, 0–1."""
        mine, theirs = self.shares[kind], other.shares[kind]
        return 0.5 * sum(
            abs(mine.get(value, 0.0) - theirs.get(value, 0.0)) for value in {*mine, *theirs}
        )

    def as_json(self) -> Document:
        """Plain dictionaries for ``--json``."""
        return {
            "num_houses": self.num_houses,
            "spreads": {name: spread._asdict() for name, spread in self.spreads.items()},
            "shares": {kind: dict(shares) for kind, shares in self.shares.items()},
            "targets": dict(self.targets),
        }


def file_statistics(
    path: str | os.PathLike[str],
    limit: int | None = None,
    on_house: Callable[[], None] = lambda: None,
) -> HouseStatistics:
    """Count a house file.

    Args:
        path: a file as ``read_houses`` reads it.
        limit: count no more than this many houses.
        on_house: called after each house.

    Raises: UserError if the file cannot be read; HouseFormatError names a house that does not load.
    """
    # Here and not above: the numbers of a document alone need no compiled core.
    from flare.worlds.embedded import load_house

    documents: list[Document] = []
    reached: list[float] = []
    for source, text in read_houses(path, limit):
        documents.append(json.loads(text))
        places = len(load_house(text, source).reachable())
        reached.append(places * _GRID_CELL / _floor_area(documents[-1]))
        on_house()
    return house_statistics(documents, reached)


def house_statistics(
    documents: Sequence[Document], reached: Sequence[float] = ()
) -> HouseStatistics:
    """Count house documents.

    Args:
        documents: houses that load.
        reached: for each house the share of its floor that the robot's centre can get to; left out
            of the result if empty.
    """
    measures: dict[str, list[float]] = {}
    counts: dict[str, Counter[str]] = {}
    for document in documents:
        for name, values in _measures(document).items():
            measures.setdefault(name, []).extend(values)
        for kind, seen in _kinds(document).items():
            counts.setdefault(kind, Counter()).update(seen)
    if reached:
        measures["reachable share of the floor"] = list(reached)
    types = [{body.type for body in bodies_of(document)} for document in documents]
    return HouseStatistics(
        num_houses=len(documents),
        spreads={name: _spread(values) for name, values in measures.items() if values},
        shares={kind: _normalised(count) for kind, count in counts.items()},
        targets={goal: sum(goal in held for held in types) / len(types) for goal in GOAL_TYPES},
    )


def _measures(document: Document) -> dict[str, list[float]]:
    """Values of each measure in one house."""
    rooms, walls = document["rooms"], document["walls"]
    inner = [door for door in document["doors"] if is_between_rooms(door)]
    objects = document.get("objects") or []
    total = len(bodies_of(document))
    held = {body.type for body in bodies_of(document)} & set(GOAL_TYPES)
    wall_lengths = [
        math.dist(*floor_points(wall)) for wall in walls if "exterior" not in wall["id"]
    ]
    measures = {
        "rooms": [float(len(rooms))],
        "floor area, m²": [_floor_area(document)],
        "ceiling height, m": [max(p["y"] for wall in walls for p in wall["polygon"])],
        "ways between rooms per room": [(len(inner) + len(_passages(walls))) / len(rooms)],
        "windows per room": [len(document.get("windows") or []) / len(rooms)],
        "pieces per room": [len(objects) / len(rooms)],
        "things on them per room": [(total - len(objects)) / len(rooms)],
        "target categories": [float(len(held))],
        "corners of a room": [float(len(room["floorPolygon"])) for room in rooms],
        "wall length, m": wall_lengths,
        "door width, m": [_hole_width(door) for door in inner],
        "window width, m": [_hole_width(hole) for hole in document.get("windows") or []],
    }
    for room in rooms:
        name = f"area of a {room['roomType']}, m²"
        measures.setdefault(name, []).append(polygon_area(room["floorPolygon"]))
    return measures


def _kinds(document: Document) -> dict[str, list[str]]:
    """What is counted by kind in one house."""
    objects = document.get("objects") or []
    children = [child for entry in objects for child in entry.get("children") or []]
    ways = [_way(door) for door in document["doors"] if is_between_rooms(door)]
    return {
        "room types": [room["roomType"] for room in document["rooms"]],
        "ways between rooms": ways + ["passage"] * len(_passages(document["walls"])),
        "pieces": [type_of(entry) for entry in objects],
        "things on them": [type_of(entry) for entry in children],
    }


def is_between_rooms(door: Mapping[str, Any]) -> bool:
    """Whether a door joins two rooms, not one with the outside."""
    return door["room0"] != door["room1"] and "exterior" not in (door["room0"], door["room1"])


def _way(door: Mapping[str, Any]) -> str:
    if "openness" not in door:
        return "frame"
    if door["openness"] >= 1:
        return "open door"
    return "half-open door" if door["openness"] > 0 else "shut door"


def _passages(walls: Iterable[Mapping[str, Any]]) -> set[frozenset[str]]:
    """Pairs of rooms that an empty wall stands between."""
    owners: dict[frozenset[tuple[float, float]], set[str]] = {}
    for wall in walls:
        if wall.get("empty"):
            ends = frozenset((round(x, 2), round(z, 2)) for x, z in floor_points(wall))
            owners.setdefault(ends, set()).add(wall["roomId"])
    return {frozenset(rooms) for rooms in owners.values() if len(rooms) == 2}


def _hole_width(opening: Mapping[str, Any]) -> float:
    first, second = opening["holePolygon"][:2]
    return float(abs(second["x"] - first["x"]))


def _floor_area(document: Document) -> float:
    return sum(polygon_area(room["floorPolygon"]) for room in document["rooms"])


def polygon_area(corners: Sequence[Mapping[str, float]]) -> float:
    """Area in m² of a polygon of {x, z} corners in either direction."""
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    return abs(sum(a["x"] * b["z"] - b["x"] * a["z"] for a, b in pairs)) / 2


def _spread(values: Sequence[float]) -> Spread:
    low, median, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    return Spread(low, median, high, len(values))


def _normalised(count: Counter[str]) -> dict[str, float]:
    total = sum(count.values())
    return {value: number / total for value, number in count.most_common()}
