"""Doors and windows: a door for each edge of a tree over the rooms, more, one to the outside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from flare.houses.draws import Draws
from flare.houses.layout import Layout, Segment
from flare.houses.library import asset_size
from flare.houses.styles import Style

_JAMB = 0.2  # m of wall left on both sides of a hole
_OPEN_PLAN = frozenset({"Kitchen", "LivingRoom"})
_FRIENDSHIP = 8.0  # added weight of a way between kitchen and living room
_LEAST_AJAR = 0.65  # openness; the robot gets past a single leaf from here on
_MOST_AJAR = 0.95
_DOUBLE = 1.5  # m; wider doors have two leaves
_FRAME = 0.05  # m of a hole that the frame takes at each side

Pair = tuple[int, int]  # rooms, lower label first
Points = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """A door or window in a wall piece."""

    segment: Segment  # of room0; x is measured along it from p0
    asset_id: str
    x0: float
    x1: float
    y0: float
    y1: float
    is_door: bool
    openness: float | None  # of a leaf: 0 shut, 1 at a right angle, into room1; None: a frame

    @property
    def passable(self) -> bool:
        """Whether a robot gets through."""
        return self.is_door and self.segment.neighbour != 0 and self.openness != 0.0

    def leaves(self) -> list[Points]:
        """Hinge and tip (x, z) of each open leaf; the rule of ``csrc/sim/door_leaf.hpp``."""
        if not self.passable or self.openness is None:
            return []
        p0, p1 = self.segment.point(self.x0), self.segment.point(self.x1)
        nx, nz = self.segment.inward
        return open_leaves(p0, p1, (-nx, -nz), self.openness)


def open_leaves(
    p0: tuple[float, float], p1: tuple[float, float], across: tuple[float, float], openness: float
) -> list[Points]:
    """Find where the leaves of an open door stand.

    Args:
        p0: end (x, z) of the hole, in the direction of wall0.
        p1: its other end.
        across: unit vector into room1.
        openness: 0 shut to 1 at a right angle.

    Returns: hinge and tip (x, z) of one leaf, of two where the hole is as wide as a double door.
    """
    width = math.dist(p0, p1)
    clear = width - 2 * _FRAME
    dx, dz = (p1[0] - p0[0]) / width, (p1[1] - p0[1]) / width
    s, c = math.sin(math.pi / 2 * openness), math.cos(math.pi / 2 * openness)

    def leaf(at: float, sign: float, length: float) -> Points:
        hinge = (p0[0] + dx * at, p0[1] + dz * at)
        x = (sign * dx * c + across[0] * s) * length
        z = (sign * dz * c + across[1] * s) * length
        return hinge, (hinge[0] + x, hinge[1] + z)

    if width < _DOUBLE:
        return [leaf(_FRAME, 1.0, clear)]
    return [leaf(_FRAME, 1.0, clear / 2), leaf(width - _FRAME, -1.0, clear / 2)]


@dataclass(kw_only=True, slots=True)
class Ways:
    """What leads from room to room."""

    holes: list[Hole] = field(default_factory=list)
    passages: set[Pair] = field(default_factory=set)  # pairs of rooms without a wall between them


def place_doors(layout: Layout, style: Style, half_open: float, draws: Draws) -> Ways | None:
    """Join all rooms by open doors and add a closed one to the outside.

    Args:
        layout: rooms and walls.
        style: which doors there are and where.
        half_open: share of the doors between rooms that stand half open.
        draws: the house's random numbers.

    Returns: None if some room has no wall long enough for a door; try another layout.
    """
    ways = Ways()
    joined = {min(layout.segments)}
    borders = _borders(layout, style)
    while len(joined) < len(layout.segments):
        pairs = [pair for pair in borders if (pair[0] in joined) != (pair[1] in joined)]
        if not pairs:
            return None
        pair = draws.weighted(pairs, [_weight(layout, pair, joined, style) for pair in pairs])
        joined.update(pair)
        _join(layout, pair, borders.pop(pair), style, half_open, ways, draws)
    for segments in borders.values():
        if style.extra_door_chance > 0.0 and draws.chance(style.extra_door_chance):
            ways.holes.append(_interior_door(layout, segments, style, half_open, draws))
    _add_front_door(layout, style, ways, draws)
    return ways


def place_windows(
    layout: Layout, doors: Sequence[Hole], ceiling_height: float, style: Style, draws: Draws
) -> list[Hole]:
    """Windows in outer walls, never in one that has a door."""
    with_door = [door.segment for door in doors]
    holes = []
    for room in layout.segments.values():
        for segment in room:
            if segment.neighbour != 0 or segment in with_door or segment.length < 2.0:
                continue
            if not draws.chance(style.window_chance):
                continue
            asset_id = _fitting(style.windows, segment.length, draws)
            width, height, _ = asset_size(asset_id)
            x0 = draws.uniform(_JAMB, segment.length - width - _JAMB)
            y0 = min(max(1.5 - height / 2, 0.4), ceiling_height - height - 0.1)
            holes.append(
                Hole(
                    segment=segment,
                    asset_id=asset_id,
                    x0=x0,
                    x1=x0 + width,
                    y0=y0,
                    y1=y0 + height,
                    is_door=False,
                    openness=None,
                )
            )
    return holes


def _borders(layout: Layout, style: Style) -> dict[Pair, list[Segment]]:
    """Wall pieces between each pair of rooms (lower label first) that a door fits into."""
    narrowest = asset_size(style.doors[0])[0] + 2 * _JAMB
    borders: dict[Pair, list[Segment]] = {}
    for room, segments in layout.segments.items():
        for segment in segments:
            if segment.neighbour > room and segment.length >= narrowest:
                borders.setdefault((room, segment.neighbour), []).append(segment)
    return borders


def _weight(layout: Layout, pair: Pair, joined: set[int], style: Style) -> float:
    """How likely a way is: by the room it leaves from, kitchen and living room being friends."""
    host = pair[0] if pair[0] in joined else pair[1]
    weight = style.hosts.get(layout.room_types[host], 0.5)
    is_open_plan = {layout.room_types[room] for room in pair} == _OPEN_PLAN
    return weight * (1.0 + _FRIENDSHIP * style.open_plan_chance) if is_open_plan else weight


def _join(
    layout: Layout,
    pair: Pair,
    segments: Sequence[Segment],
    style: Style,
    half_open: float,
    ways: Ways,
    draws: Draws,
) -> None:
    """Put a door, a frame or a passage between two rooms."""
    types = {layout.room_types[room] for room in pair}
    if (
        types == _OPEN_PLAN
        and style.open_plan_chance > 0.0
        and draws.chance(style.open_plan_chance)
    ):
        if draws.chance(0.5):
            ways.passages.add(pair)
            return
        segment = draws.weighted(segments, [s.length for s in segments])
        frame = _fitting(style.frames, segment.length, draws)
        ways.holes.append(_door(segment, frame, None, draws))
        return
    ways.holes.append(_interior_door(layout, segments, style, half_open, draws))


def _interior_door(
    layout: Layout, segments: Sequence[Segment], style: Style, half_open: float, draws: Draws
) -> Hole:
    segment = draws.weighted(segments, [s.length for s in segments])
    if style.minds_leaves and draws.chance(0.5):  # opens into the other room
        segment = layout.other_side(segment)
    is_frame = style.frame_chance > 0.0 and draws.chance(style.frame_chance)
    asset_id = _fitting(style.frames if is_frame else style.doors, segment.length, draws)
    openness: float | None = None if is_frame else 1.0
    if openness and half_open > 0.0 and draws.chance(half_open):
        openness = round(draws.uniform(_LEAST_AJAR, _MOST_AJAR), 2)
    return _door(segment, asset_id, openness, draws)


def _add_front_door(layout: Layout, style: Style, ways: Ways, draws: Draws) -> None:
    outer = [s for room in layout.segments.values() for s in room if s.neighbour == 0]
    narrowest = asset_size(style.doors[0])[0] + 2 * _JAMB
    long_enough = [s for s in outer if s.length >= narrowest]
    if style.open_plan_chance > 0.0:  # from the street one comes into a sociable room
        homely = [s for s in long_enough if layout.room_types[s.room] in _OPEN_PLAN]
        long_enough = homely or long_enough
    if long_enough:
        segment = draws.choice(long_enough)
        ways.holes.append(_door(segment, _fitting(style.doors, segment.length, draws), 0.0, draws))


def _fitting(assets: Sequence[str], length: float, draws: Draws) -> str:
    """One of the assets that fit into a wall of the length; the first of the list always does."""
    fitting = [asset for asset in assets if asset_size(asset)[0] + 2 * _JAMB <= length]
    return draws.choice(fitting or assets[:1])


def _door(segment: Segment, asset_id: str, openness: float | None, draws: Draws) -> Hole:
    width, height, _ = asset_size(asset_id)
    x0 = draws.uniform(_JAMB, segment.length - width - _JAMB)
    return Hole(
        segment=segment,
        asset_id=asset_id,
        x0=x0,
        x1=x0 + width,
        y0=0.0,
        y1=height,
        is_door=True,
        openness=openness,
    )
