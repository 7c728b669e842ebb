"""Doors and windows: a door for each edge of a tree over the rooms, more, one to the outside."""

from collections.abc import Sequence
from dataclasses import dataclass

from flare.houses.draws import Draws
from flare.houses.kinds import DOOR_ASSETS, FRAME_ASSETS, WINDOW_ASSETS
from flare.houses.layout import Layout, Segment
from flare.houses.library import asset_size

_JAMB = 0.2  # m of wall left on both sides of a hole
_EXTRA_DOOR = 0.25  # chance of a second way between rooms that are joined already
_FRAME = 0.2  # chance of a frame without a leaf
_WINDOW = 0.6  # chance of a window in each outer wall piece that is long enough
_SOCIABLE = {"LivingRoom": 3.0, "Kitchen": 2.0}  # rooms that others are entered from


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
    passable: bool


def place_doors(layout: Layout, draws: Draws) -> list[Hole] | None:
    """Join all rooms by open doors and add a closed one to the outside.

    Returns: None if some room has no wall long enough for a door; try another layout.
    """
    holes = []
    joined = {min(layout.segments)}
    borders = _borders(layout)
    while len(joined) < len(layout.segments):
        ways = [pair for pair in borders if (pair[0] in joined) != (pair[1] in joined)]
        if not ways:
            return None
        weights = [_SOCIABLE.get(layout.room_types[a if a in joined else b], 0.5) for a, b in ways]
        pair = draws.weighted(ways, weights)
        joined.update(pair)
        holes.append(_interior_door(borders.pop(pair), draws))
    for segments in borders.values():
        if draws.chance(_EXTRA_DOOR):
            holes.append(_interior_door(segments, draws))
    outer = [s for room in layout.segments.values() for s in room if s.neighbour == 0]
    long_enough = [s for s in outer if s.length >= asset_size(DOOR_ASSETS[0])[0] + 2 * _JAMB]
    if long_enough:
        segment = draws.choice(long_enough)
        holes.append(_door(segment, _fitting(DOOR_ASSETS, segment.length, draws), False, draws))
    return holes


def place_windows(
    layout: Layout, doors: Sequence[Hole], ceiling_height: float, draws: Draws
) -> list[Hole]:
    """Windows in outer walls, never in one that has a door."""
    with_door = [door.segment for door in doors]
    holes = []
    for room in layout.segments.values():
        for segment in room:
            if segment.neighbour != 0 or segment in with_door or segment.length < 2.0:
                continue
            if not draws.chance(_WINDOW):
                continue
            asset_id = _fitting(WINDOW_ASSETS, segment.length, draws)
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
                    passable=False,
                )
            )
    return holes


def _borders(layout: Layout) -> dict[tuple[int, int], list[Segment]]:
    """Wall pieces between each pair of rooms (lower label first) that a door fits into."""
    narrowest = asset_size(DOOR_ASSETS[0])[0] + 2 * _JAMB
    borders: dict[tuple[int, int], list[Segment]] = {}
    for room, segments in layout.segments.items():
        for segment in segments:
            if segment.neighbour > room and segment.length >= narrowest:
                borders.setdefault((room, segment.neighbour), []).append(segment)
    return borders


def _interior_door(segments: Sequence[Segment], draws: Draws) -> Hole:
    segment = draws.weighted(segments, [s.length for s in segments])
    assets = FRAME_ASSETS if draws.chance(_FRAME) else DOOR_ASSETS
    return _door(segment, _fitting(assets, segment.length, draws), True, draws)


def _fitting(assets: Sequence[str], length: float, draws: Draws) -> str:
    """One of the assets that fit into a wall of the length; the first of the list always does."""
    fitting = [asset for asset in assets if asset_size(asset)[0] + 2 * _JAMB <= length]
    return draws.choice(fitting or assets[:1])


def _door(segment: Segment, asset_id: str, passable: bool, draws: Draws) -> Hole:
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
        passable=passable,
    )
