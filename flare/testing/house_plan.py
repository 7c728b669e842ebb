"""Where a body may be in a house, from its plan alone: an oracle beside the simulator's own.

Nothing here is fast or shared with csrc/sim: walls are cut at their doors, and distances measured,
once more.
"""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.robots.spec import BodySpec
from flare.worlds.embedded import House

_LOWEST = 0.05  # m, the base rolls over what is flatter (csrc/sim/collision.cpp)
_WALL_REACH = 0.1  # m, what hangs on a wall and sticks out less is no obstacle
_ON_WALL = 0.1  # m, a door whose ends are this near to a wall's line is in that wall
_CONTACT = 1e-3  # m of overlap that is rounding

Points = NDArray[np.float64]  # [..., 2] x, z in metres


class HousePlan:
    """Walls, boxes and rooms of a house as arrays."""

    def __init__(self, house: House) -> None:
        """Read the plan. Takes about a millisecond for each ten walls."""
        self.source = house.source
        self.object_ids = tuple(item["id"] for item in house.objects())
        self.bounds = house.bounds  # xmin, zmin, xmax, zmax
        self._objects: list[Mapping[str, Any]] = [dict(item) for item in house.objects()]
        gaps = [np.reshape(door["ends"], (2, 2)) for door in house.openings() if door["passable"]]
        pieces = [p for wall in house.walls() for p in _cut(wall.reshape(2, 2), gaps)]
        self._walls = np.array(pieces, np.float64).reshape(-1, 2, 2)
        corners = [np.asarray(room["polygon"], np.float64) for room in house.rooms()]
        self._rooms = [np.concatenate([polygon, polygon[:1]]) for polygon in corners]  # closed
        self._centers = np.array([item["center"] for item in self._objects]).reshape(-1, 3)
        self._sizes = np.array([item["size"] for item in self._objects]).reshape(-1, 3)
        self._yaws = np.array([item["yaw_deg"] for item in self._objects])
        on_wall = np.array([item["on_wall"] for item in self._objects], np.bool_)
        self._is_flat = on_wall & (self._sizes[:, [0, 2]].min(axis=1) < _WALL_REACH)

    def is_pickupable(self, index: int) -> bool:
        """Whether the object can be taken."""
        return bool(self._objects[index]["pickupable"])

    def meets_wall(self, body: BodySpec, point: Points) -> bool:
        """Whether the body's disc at ``point`` [2] overlaps a wall."""
        start, way = self._walls[:, 0], self._walls[:, 1] - self._walls[:, 0]
        share = ((point - start) * way).sum(1) / (way**2).sum(1)
        nearest = start + way * np.clip(share, 0.0, 1.0)[:, None]
        return bool((np.hypot(*(nearest - point).T) < body.radius - _CONTACT).any())

    def met_objects(self, body: BodySpec, point: Points, away: Container[int]) -> list[int]:
        """Indices of the objects at home, but for those ``away``, that the disc overlaps."""
        distances = _distances(self._centers, self._sizes, self._yaws, body, point)
        met = (distances < body.radius - _CONTACT) & ~self._is_flat
        return [int(i) for i in np.flatnonzero(met) if int(i) not in away]

    def distance_to_moved(
        self,
        body: BodySpec,
        point: Points,
        index: int,
        center: tuple[float, float, float],
        yaw_deg: float,
    ) -> float:
        """Metres from ``point`` [2] to an object that stands elsewhere; inf above the body."""
        place = np.array([center], np.float64)
        size = self._sizes[index : index + 1]
        return float(_distances(place, size, np.array([yaw_deg]), body, point)[0])

    def is_outside(self, point: Points, margin: float, likely_room: int = 0) -> bool:
        """Whether ``point`` [2] is farther than ``margin`` m from every room.

        The answer does not depend on ``likely_room``, which is looked at first.
        """
        rooms = [self._rooms[likely_room], *self._rooms]
        return all(_distance_outside(polygon, point) > margin for polygon in rooms)


def disc_centre(body: BodySpec, x: float, z: float, yaw_deg: float) -> Points:
    """[2] where the body's disc is."""
    yaw = np.deg2rad(np.float64(yaw_deg))
    return np.array([x, z]) + body.centre_offset * np.array([np.sin(yaw), np.cos(yaw)])


def _cut(wall: NDArray[Any], gaps: list[NDArray[Any]]) -> list[Points]:
    """What is left of a wall [2, 2] beside the doors [2, 2] in its line."""
    wall = wall.astype(np.float64)
    length = float(np.hypot(*(wall[1] - wall[0])))
    along = (wall[1] - wall[0]) / length
    across = np.array([-along[1], along[0]])
    cuts = []
    for gap in gaps:
        if np.abs((gap - wall[0]) @ across).max() > _ON_WALL:
            continue
        low, high = np.sort((gap - wall[0]) @ along)
        if high > 0.0 and low < length:
            cuts.append((float(low), float(high)))
    left, pieces = 0.0, []
    for low, high in [*sorted(cuts), (length, length)]:
        if low > left + 1e-3:
            pieces.append(np.stack([wall[0] + along * left, wall[0] + along * min(low, length)]))
        left = max(left, high)
    return pieces


def _distances(
    centers: Points, sizes: Points, yaws: Points, body: BodySpec, point: Points
) -> NDArray[np.float64]:
    """Metres from ``point`` [2] to each of the boxes [K]; inf where a box is above the body."""
    low, high = centers[:, 1] - sizes[:, 1] / 2, centers[:, 1] + sizes[:, 1] / 2
    in_band = (high > _LOWEST) & (low < body.height)
    yaw = np.deg2rad(yaws)
    offset = point - centers[:, [0, 2]]
    own_x = offset[:, 0] * np.cos(yaw) - offset[:, 1] * np.sin(yaw)
    own_z = offset[:, 0] * np.sin(yaw) + offset[:, 1] * np.cos(yaw)
    beyond_x = np.maximum(np.abs(own_x) - sizes[:, 0] / 2, 0.0)
    beyond_z = np.maximum(np.abs(own_z) - sizes[:, 2] / 2, 0.0)
    return np.where(in_band, np.hypot(beyond_x, beyond_z), np.inf)


def _distance_outside(polygon: Points, point: Points) -> float:
    """Metres to a closed polygon [corners + 1, 2], 0 inside."""
    a, b = polygon[:-1], polygon[1:]
    crosses = (a[:, 1] > point[1]) != (b[:, 1] > point[1])
    rise = np.where(crosses, b[:, 1] - a[:, 1], 1.0)
    at = a[:, 0] + (b[:, 0] - a[:, 0]) * (point[1] - a[:, 1]) / rise
    if np.count_nonzero(crosses & (point[0] < at)) % 2 == 1:
        return 0.0
    way = b - a
    square = np.maximum((way**2).sum(1), 1e-12)
    share = np.clip(((point - a) * way).sum(1) / square, 0.0, 1.0)
    return float(np.hypot(*(a + way * share[:, None] - point).T).min())
