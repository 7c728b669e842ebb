"""Small objects on receptacles and on the floor, paintings on walls."""

import math
from collections.abc import Sequence

from flare.houses.doors import Hole
from flare.houses.draws import Draws
from flare.houses.furniture import Floor, Placed, place_type
from flare.houses.kinds import GOAL_ROOMS, HIGHEST_TOP, ON_TOP, ROOM_FURNITURE, Where
from flare.houses.library import Asset, assets_of
from flare.houses.space import Rect

_EDGE = 0.03  # m between an object and the edge of what it stands on
_TRIES = 6
_PER_AREA = 3.0  # objects a square metre of a receptacle's top at density 1
_MOST_PER_TOP = 5
_FLOOR_KINDS: dict[str, Where] = {
    kind.type: kind.where for kinds in ROOM_FURNITURE.values() for kind in kinds
}
_PAINTING_HEIGHT = 1.6  # m of a painting's centre


def strew(floor: Floor, density: float, draws: Draws) -> None:
    """Put small objects on every receptacle by its type's table; a TV stand gets its television."""
    for item in list(floor.placed):
        table = ON_TOP.get(item.asset.type)
        if table is None:
            continue
        if item.asset.type == "TVStand" and draws.chance(0.85):
            put_on(item, "Television", draws)
        area = item.asset.size[0] * item.asset.size[2]
        wanted = min(area * _PER_AREA * density * draws.uniform(0.5, 1.5), _MOST_PER_TOP)
        for _ in range(int(wanted + draws.unit())):
            put_on(item, draws.weighted(tuple(table), tuple(table.values())), draws)


def put_on(receptacle: Placed, type_name: str, draws: Draws) -> bool:
    """Put an object of a type on top of a receptacle where nothing lies yet."""
    width, height, depth = receptacle.asset.size
    top = receptacle.base_y + height
    fitting = [
        asset
        for asset in assets_of(type_name)
        if asset.size[0] + 2 * _EDGE <= width and asset.size[2] + 2 * _EDGE <= depth
    ]
    if top > HIGHEST_TOP or not fitting:
        return False
    for _ in range(_TRIES):
        asset = draws.choice(fitting)
        reach_x = (width - asset.size[0]) / 2 - _EDGE
        reach_z = (depth - asset.size[2]) / 2 - _EDGE
        dx, dz = draws.uniform(-reach_x, reach_x), draws.uniform(-reach_z, reach_z)
        angle = math.radians(receptacle.yaw_deg)
        child = Placed(
            asset=asset,
            x=receptacle.x + dx * math.cos(angle) + dz * math.sin(angle),
            z=receptacle.z - dx * math.sin(angle) + dz * math.cos(angle),
            yaw_deg=receptacle.yaw_deg,
            room=receptacle.room,
            base_y=top,
        )
        rect = child.rect().grown(_EDGE / 2)
        if not any(rect.overlaps(other.rect()) for other in receptacle.children):
            receptacle.children.append(child)
            return True
    return False


def types_in(floor: Floor) -> set[str]:
    """Every type that stands or lies in the house so far."""
    return {one.asset.type for item in floor.placed for one in (item, *item.children)}


def choose_goals(floor: Floor, goal_types: Sequence[str], count: int, draws: Draws) -> list[str]:
    """Pick goal types for a house, those first that are at home in one of its rooms."""
    rooms = set(floor.layout.room_types.values())
    order = draws.shuffled(goal_types)
    at_home = [goal for goal in order if rooms & set(GOAL_ROOMS.get(goal, rooms))]
    strange = [goal for goal in order if goal not in at_home]
    return (at_home + strange)[:count]


def place_goal(floor: Floor, type_name: str, draws: Draws) -> bool:
    """Make sure that the house holds the type: at home if possible, else wherever it fits.

    A small type without a free receptacle gets a new one.

    Returns: False if there is no place for it; try another house.
    """
    if type_name in types_in(floor):
        return True
    home = GOAL_ROOMS.get(type_name, ())
    rooms = draws.shuffled(sorted(floor.layout.room_types))
    rooms.sort(key=lambda room: floor.layout.room_types[room] not in home)
    for room in rooms:
        tops = [item for item in floor.placed if item.room == room]
        suited = [item for item in tops if type_name in ON_TOP.get(item.asset.type, {})]
        for item in draws.shuffled(suited):
            if put_on(item, type_name, draws):
                return True
    if type_name in _FLOOR_KINDS:
        where = _FLOOR_KINDS[type_name]
        return any(place_type(floor, type_name, where, room, draws) for room in rooms)
    for room in rooms:
        stand = "TVStand" if type_name == "Television" else draws.choice(("SideTable", "Desk"))
        receptacle = place_type(floor, stand, "wall", room, draws)
        if receptacle is not None and put_on(receptacle, type_name, draws):
            return True
    return False


def hang_paintings(
    floor: Floor, holes: Sequence[Hole], ceiling_height: float, draws: Draws
) -> list[Placed]:
    """Paintings on free wall pieces, about one a room."""
    hung = []
    for room, segments in floor.layout.segments.items():
        for segment in draws.shuffled(segments)[:2]:
            asset = draws.choice(assets_of("Painting"))
            taken = any(
                {hole.segment.p0, hole.segment.p1} == {segment.p0, segment.p1} for hole in holes
            )
            width, height, depth = asset.size
            if taken or segment.length < width + 0.4 or not draws.chance(0.6):
                continue
            x, z = segment.point(draws.uniform(width, segment.length - width), depth / 2)
            if width * 2 > segment.length or _hidden(floor, asset, x, z):
                continue
            base = min(_PAINTING_HEIGHT, ceiling_height - height / 2 - 0.1) - height / 2
            yaw = round(math.degrees(math.atan2(*segment.inward))) % 360.0
            hung.append(Placed(asset=asset, x=x, z=z, yaw_deg=yaw, room=room, base_y=base))
    return hung


def _hidden(floor: Floor, painting: Asset, x: float, z: float) -> bool:
    """Whether something tall stands before a painting's place."""
    half = painting.size[0] / 2
    place = Rect(x - half, z - half, x + half, z + half)
    return any(item.asset.size[1] > 1.0 and item.rect().overlaps(place) for item in floor.placed)
