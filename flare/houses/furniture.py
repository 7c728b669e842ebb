"""Furniture along the walls and in the middle of rooms, without ever closing a way.

Every placement is tried on the robot's free floor and stays only if what was reachable is so still.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from flare.houses.doors import Hole, Pair, Ways
from flare.houses.draws import Draws
from flare.houses.kinds import (
    CHAIRED_TABLES,
    LARGEST_FOOTPRINT,
    LARGEST_HEIGHT,
    ONE_A_ROOM,
    Furniture,
    Where,
)
from flare.houses.layout import GRID, Layout, Segment
from flare.houses.library import Asset, assets_of
from flare.houses.space import CELL, Grid, Rect, lowest
from flare.houses.styles import Style

ROBOT_MARGIN = 0.3  # m from the robot's centre to anything: its radius of 0.1855 and room to turn
_WALL_GAP = 0.03  # m between a wall and what stands against it
_LEAF_MARGIN = 0.25  # m from the robot's centre to an open leaf
_PASSAGE_DEPTH = 0.4  # m on both sides of a missing wall that stay empty
_SIDE_GAP = 0.06  # m between neighbours
_TRIES = 8
_MOST_LOST = 0.04  # share of the free floor that a piece may cut off behind it
_REACH_ANGLES = tuple(math.radians(angle) for angle in (22.5, 45.0, 67.5))
_SECOND_HELPING = 0.45  # of the chances, in a large room
_TALL = 1.1  # m; taller furniture does not stand in front of a window


@dataclass(kw_only=True, slots=True)
class Placed:
    """A floor object in its place."""

    asset: Asset
    x: float
    z: float
    yaw_deg: float
    room: int
    base_y: float = 0.0
    children: list["Placed"] = field(default_factory=list)
    rect: Rect = field(init=False)  # its footprint's bounding rectangle

    def __post_init__(self) -> None:
        self.rect = _footprint(self.asset, self.x, self.z, self.yaw_deg)


class Floor:
    """The floor of a house while it is being furnished."""

    def __init__(self, layout: Layout, ways: Ways, windows: Sequence[Hole], style: Style) -> None:
        self.layout = layout
        self.passages = ways.passages
        self.style = style
        self.placed: list[Placed] = []
        scale = round(GRID / CELL)
        fine = np.repeat(np.repeat(layout.labels, scale, axis=0), scale, axis=1)
        self.grid = Grid(*fine.shape)
        self._tall_zones = [_zone(hole, 0.35, 0.35) for hole in windows]
        self._room_cells = {room: self.grid.cells(fine == room) for room in layout.segments}
        before_doors = self._before_doors(ways)
        self._for_furniture = {
            room: cells & ~before_doors for room, cells in self._room_cells.items()
        }
        free = self.grid.cells(fine != 0)
        for rect in _solid_walls(layout, ways):
            free &= ~self.grid.under(rect.grown(ROBOT_MARGIN))
        if style.minds_leaves:
            for hole in ways.holes:
                for leaf in hole.leaves():
                    free &= ~self._beside(*leaf)
        self._free = free  # where the robot's centre may be
        self._reached = self.grid.flood(lowest(free), free)

    def _before_doors(self, ways: Ways) -> int:
        """Cells that stay empty so that doors can be opened and walked through."""
        cells = 0
        for hole in ways.holes:
            zone = _zone(hole, self.style.before_door, self.style.behind_door)
            cells |= self.grid.under(zone)
        for room, segments in self.layout.segments.items():
            for segment in segments:
                if pair_of(segment) in self.passages and segment.room == room:
                    strip = Rect.between(segment.p0, segment.point(segment.length, _PASSAGE_DEPTH))
                    cells |= self.grid.under(strip)
        return cells

    def _beside(self, hinge: tuple[float, float], tip: tuple[float, float]) -> int:
        """Cells too near to an open leaf: those under it, piece by piece, and the margin."""
        cells, pieces = 0, math.ceil(math.dist(hinge, tip) / CELL)
        for i in range(pieces):
            a, b = (
                (hinge[0] + (tip[0] - hinge[0]) * t, hinge[1] + (tip[1] - hinge[1]) * t)
                for t in (i / pieces, (i + 1) / pieces)
            )
            cells |= self.grid.under(Rect.between(a, b).grown(_LEAF_MARGIN))
        return cells

    @property
    def rooms_joined(self) -> bool:
        """Whether the robot gets into every room."""
        return self._joins_rooms(self._reached)

    def standing_places(self) -> list[tuple[float, float]]:
        """Points (x, z) that the robot can stand at, all connected with each other."""
        return self.grid.centers(self._reached)

    def place(self, item: Placed) -> bool:
        """Put an object down unless it is in the way of something or someone."""
        rect = item.rect
        if item.asset.size[1] > _TALL and any(rect.overlaps(zone) for zone in self._tall_zones):
            return False
        body = self.grid.under(rect)
        if not self.grid.holds(rect) or body & ~self._for_furniture[item.room]:
            return False
        shadow = self.grid.under(rect.grown(ROBOT_MARGIN))
        if shadow & self._free:
            beside = self.grid.under(rect.grown(ROBOT_MARGIN + 2 * CELL)) & ~shadow
            if not self._take_floor(shadow, beside):
                return False
        self._for_furniture[item.room] &= ~self.grid.under(rect.grown(_SIDE_GAP))
        self.placed.append(item)
        return True

    def _take_floor(self, shadow: int, beside: int) -> bool:
        """Let an obstacle take its shadow from the free floor; False if that cuts too much off.

        Where what was reachable beside the shadow hangs together, all of it stays reachable: only
        else must the whole house be flooded.
        """
        free = self._free & ~shadow
        ring = beside & self._reached
        if ring and self.grid.is_joined(ring):
            reached = self._reached & ~shadow
        else:
            reached = self.grid.flood(lowest(self._reached & free), free)
        if reached.bit_count() < free.bit_count() * (1.0 - _MOST_LOST):
            return False
        if not self._joins_rooms(reached):
            return False
        self._free, self._reached = free, reached
        return True

    def in_reach(self, x: float, z: float, reach: float) -> bool:
        """Tell whether the robot can stand within ``reach`` metres of a point."""
        for angle in _REACH_ANGLES:  # three rectangles within the disc
            half_x = reach * math.cos(angle) - CELL / 2
            half_z = reach * math.sin(angle) - CELL / 2
            if (
                self.grid.under(Rect(x - half_x, z - half_z, x + half_x, z + half_z))
                & self._reached
            ):
                return True
        return False

    def _joins_rooms(self, reached: int) -> bool:
        return all(reached & cells for cells in self._room_cells.values())


def furnish(floor: Floor, density: float, draws: Draws) -> None:
    """Furnish every room by its type's table; ``density`` scales the chances."""
    full = floor.style.full_room
    tables = floor.style.furniture
    for room, room_type in floor.layout.room_types.items():
        kinds = tables.get(room_type, tables["LivingRoom"])
        _furnish_room(floor, room, kinds, density, draws)
        if full is not None and floor.layout.area(room) > full:
            more = [kind for kind in kinds if kind.type not in ONE_A_ROOM]
            _furnish_room(floor, room, more, density * _SECOND_HELPING, draws)


def _furnish_room(
    floor: Floor, room: int, kinds: Iterable[Furniture], density: float, draws: Draws
) -> None:
    for kind in kinds:
        for _ in range(kind.tries):
            if draws.chance(min(kind.chance * density, 1.0)):
                place_type(floor, kind.type, kind.where, room, draws)


def place_type(
    floor: Floor, type_name: str, where: Where, room: int, draws: Draws
) -> Placed | None:
    """Put an object of a type into a room, a table with chairs; None if it does not fit."""
    candidates = _usable(type_name)
    if not candidates:
        return None
    for _ in range(_TRIES):
        asset = draws.choice(candidates)
        item = (_along_wall if where == "wall" else _in_middle)(floor, asset, room, draws)
        if item is not None and floor.place(item):
            if type_name in CHAIRED_TABLES:
                _add_chairs(floor, item, draws)
            return item
    return None


def _usable(type_name: str) -> list[Asset]:
    long_limit, short_limit = LARGEST_FOOTPRINT.get(type_name, (3.0, 3.0))
    height_limit = LARGEST_HEIGHT.get(type_name, 3.0)
    return [
        asset
        for asset in assets_of(type_name)
        if max(asset.size[0], asset.size[2]) <= long_limit
        and min(asset.size[0], asset.size[2]) <= short_limit
        and asset.size[1] <= height_limit
    ]


def _along_wall(floor: Floor, asset: Asset, room: int, draws: Draws) -> Placed | None:
    """Back to the wall, front (its own +z) into the room."""
    width, _, depth = asset.size
    walls = [
        s
        for s in floor.layout.segments[room]
        if s.length > width + 2 * _WALL_GAP and pair_of(s) not in floor.passages
    ]
    if not walls:
        return None
    wall = draws.weighted(walls, [s.length for s in walls])
    reach = wall.length - width - 2 * _WALL_GAP
    # Corners are where furniture goes; a third of the pieces stand right in one.
    t = draws.choice((0.0, reach)) if draws.chance(0.33) else draws.unit() * reach
    x, z = wall.point(_WALL_GAP + width / 2 + t, _WALL_GAP + depth / 2)
    nx, nz = wall.inward
    return Placed(asset=asset, x=x, z=z, yaw_deg=_yaw_of(nx, nz), room=room)


def _in_middle(floor: Floor, asset: Asset, room: int, draws: Draws) -> Placed | None:
    corners = [segment.p0 for segment in floor.layout.segments[room]]
    xs, zs = [p[0] for p in corners], [p[1] for p in corners]
    yaw = 90.0 * draws.integer(0, 3)
    margin = 0.7 if max(asset.size) > 0.4 else 0.3
    rect = _footprint(asset, 0.0, 0.0, yaw)
    x0, x1 = min(xs) + margin - rect.x0, max(xs) - margin - rect.x1
    z0, z1 = min(zs) + margin - rect.z0, max(zs) - margin - rect.z1
    if x0 >= x1 or z0 >= z1:
        return None
    return Placed(
        asset=asset, x=draws.uniform(x0, x1), z=draws.uniform(z0, z1), yaw_deg=yaw, room=room
    )


def _add_chairs(floor: Floor, table: Placed, draws: Draws) -> None:
    """Chairs round a table, each facing it; a desk has one, in front."""
    chair = draws.choice(_usable("Chair"))
    sides = (0.0,) if table.asset.type == "Desk" else (0.0, 90.0, 180.0, 270.0)
    for side in sides:
        if not draws.chance(0.7):
            continue
        yaw = (table.yaw_deg + side) % 360.0
        reach = table.asset.size[2] if side in (0.0, 180.0) else table.asset.size[0]
        distance = reach / 2 + chair.size[2] / 2 + floor.style.chair_gap
        angle = math.radians(yaw)
        turn = floor.style.chair_turn_deg
        off_line = draws.uniform(-turn, turn) if turn > 0.0 else 0.0
        floor.place(
            Placed(
                asset=chair,
                x=table.x + math.sin(angle) * distance,
                z=table.z + math.cos(angle) * distance,
                yaw_deg=(yaw + 180.0 + round(off_line, 1)) % 360.0,
                room=table.room,
            )
        )


def _footprint(asset: Asset, x: float, z: float, yaw_deg: float) -> Rect:
    """Bounding rectangle of a box turned by a yaw."""
    angle = math.radians(yaw_deg)
    c, s = abs(math.cos(angle)), abs(math.sin(angle))
    half_x = (asset.size[0] * c + asset.size[2] * s) / 2
    half_z = (asset.size[0] * s + asset.size[2] * c) / 2
    return Rect(x - half_x, z - half_z, x + half_x, z + half_z)


def _yaw_of(x: float, z: float) -> float:
    """Yaw of a direction along an axis, degrees in [0, 360)."""
    return round(math.degrees(math.atan2(x, z))) % 360.0


def _zone(hole: Hole, before: float, behind: float) -> Rect:
    """Span the floor ``before`` metres deep in front of a hole and ``behind`` in the next room."""
    return Rect.between(hole.segment.point(hole.x0, before), hole.segment.point(hole.x1, -behind))


def pair_of(segment: Segment) -> Pair:
    """Rooms on both sides of a wall piece, lower label first."""
    return (min(segment.room, segment.neighbour), max(segment.room, segment.neighbour))


def _solid_walls(layout: Layout, ways: Ways) -> Iterable[Rect]:
    """Wall pieces without the holes that a robot can pass."""
    for room, segments in layout.segments.items():
        for segment in segments:
            if 0 < segment.neighbour < room or pair_of(segment) in ways.passages:
                continue  # the same boundary was seen from the other room, or there is none
            gaps = sorted(
                _span_along(segment, hole)
                for hole in ways.holes
                if hole.passable and _same_boundary(segment, hole.segment)
            )
            start = 0.0
            for low, high in [*gaps, (segment.length, segment.length)]:
                if low > start:
                    yield _thin(segment, start, low)
                start = high


def _same_boundary(a: Segment, b: Segment) -> bool:
    return {a.p0, a.p1} == {b.p0, b.p1}


def _span_along(segment: Segment, hole: Hole) -> tuple[float, float]:
    if hole.segment.p0 == segment.p0:
        return hole.x0, hole.x1
    return segment.length - hole.x1, segment.length - hole.x0


def _thin(segment: Segment, t0: float, t1: float) -> Rect:
    return Rect.between(segment.point(t0), segment.point(t1))
