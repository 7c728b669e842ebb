"""Small objects on receptacles and on the floor, paintings on walls."""

import math
from collections.abc import Sequence

from flare.houses.doors import Hole
from flare.houses.draws import Draws
from flare.houses.furniture import Floor, Placed, pair_of, place_type
from flare.houses.kinds import FETCHED_TYPES, GOAL_ROOMS, Where
from flare.houses.layout import Segment
from flare.houses.library import Asset, assets_of
from flare.houses.space import Rect
from flare.houses.styles import Style

_EDGE = 0.03  # m between an object and the edge of what it stands on
_TRIES = 6
_PER_AREA = 3.0  # objects a square metre of a receptacle's top at density 1
_PAINTING_HEIGHT = 1.6  # m of a painting's centre
_THICKEST = 0.15  # m that may stand out from a wall


def strew(floor: Floor, density: float, draws: Draws) -> None:
    """Put small objects on every receptacle by its type's table; a TV stand gets its television."""
    style = floor.style
    for item in list(floor.placed):
        table = style.on_top.get(item.asset.type)
        if table is None:
            continue
        if item.asset.type == "TVStand" and draws.chance(0.85):
            put_on(floor, item, "Television", draws)
        mean = style.top_counts.get(item.asset.type)
        if mean is None:
            mean = item.asset.size[0] * item.asset.size[2] * _PER_AREA
        wanted = min(mean * density * draws.uniform(0.5, 1.5), style.most_per_top)
        for _ in range(int(wanted + draws.unit())):
            put_on(floor, item, draws.weighted(tuple(table), tuple(table.values())), draws)


def put_on(floor: Floor, receptacle: Placed, type_name: str, draws: Draws) -> bool:
    """Put an object of a type on top of a receptacle where nothing lies yet."""
    width, height, whole_depth = receptacle.asset.size
    strip = floor.style.back_strip.get(receptacle.asset.type, 1.0)  # the rest is lower: a seat
    depth, back = whole_depth * strip, whole_depth * (strip - 1.0) / 2
    top = receptacle.base_y + height
    fitting = [
        asset
        for asset in assets_of(type_name)
        if asset.size[0] + 2 * _EDGE <= width and asset.size[2] + 2 * _EDGE <= depth
    ]
    if top > floor.style.highest_top or not fitting:
        return False
    for _ in range(_TRIES):
        asset = draws.choice(fitting)
        reach_x = (width - asset.size[0]) / 2 - _EDGE
        reach_z = (depth - asset.size[2]) / 2 - _EDGE
        dx, dz = draws.uniform(-reach_x, reach_x), draws.uniform(-reach_z, reach_z)
        x, z = _beside(receptacle, dx, dz + back)
        child = Placed(
            asset=asset, x=x, z=z, yaw_deg=receptacle.yaw_deg, room=receptacle.room, base_y=top
        )
        rect = child.rect.grown(_EDGE / 2)
        if any(rect.overlaps(other.rect) for other in receptacle.children):
            continue
        if fetchable(floor, child):
            receptacle.children.append(child)
            return True
    return False


def _beside(receptacle: Placed, dx: float, dz: float) -> tuple[float, float]:
    """Turn an offset in a receptacle's own axes into a place (x, z)."""
    c = math.cos(math.radians(receptacle.yaw_deg))
    s = math.sin(math.radians(receptacle.yaw_deg))
    return receptacle.x + dx * c + dz * s, receptacle.z - dx * s + dz * c


def fetchable(floor: Floor, child: Placed) -> bool:
    """Whether the robot's arm gets at what it may be sent for; anything else may lie anywhere."""
    reach = floor.style.arm_reach
    if reach is None or child.asset.type not in FETCHED_TYPES:
        return True
    return floor.in_reach(child.x, child.z, reach)


def types_in(floor: Floor) -> set[str]:
    """Every type that stands or lies in the house so far."""
    return {one.asset.type for item in floor.placed for one in (item, *item.children)}


def choose_goals(
    floor: Floor, goal_types: Sequence[str], count: int | None, draws: Draws
) -> list[str]:
    """Pick goal types for a house, those first that are at home in one of its rooms.

    ``count`` None takes all that are at home and no other.
    """
    rooms = set(floor.layout.room_types.values())
    order = draws.shuffled(goal_types)
    at_home = [goal for goal in order if rooms & set(GOAL_ROOMS.get(goal, rooms))]
    if count is None:
        return at_home
    strange = [goal for goal in order if goal not in at_home]
    return (at_home + strange)[:count]


def place_goal(floor: Floor, type_name: str, draws: Draws) -> bool:
    """Make sure that the house holds the type: at home if possible, else wherever it fits.

    A small type without a free receptacle gets a new one.

    Returns: False if there is no place for it; try another house.
    """
    if _holds_goal(floor, type_name):
        return True
    home = GOAL_ROOMS.get(type_name, ())
    rooms = draws.shuffled(sorted(floor.layout.room_types))
    rooms.sort(key=lambda room: floor.layout.room_types[room] not in home)
    for room in rooms:
        tops = [item for item in floor.placed if item.room == room]
        suited = [t for t in tops if type_name in floor.style.on_top.get(t.asset.type, {})]
        for item in draws.shuffled(suited):
            if put_on(floor, item, type_name, draws):
                return True
    where = _floor_kinds(floor.style).get(type_name)
    if where is not None and not _lies_on_tops(floor, type_name):
        return any(place_type(floor, type_name, where, room, draws) for room in rooms)
    at_home = [room for room in rooms if floor.layout.room_types[room] in home]
    for room in at_home * (floor.style.goal_tries - 1) + rooms:
        stands = floor.style.stands.get(floor.layout.room_types[room], ("SideTable", "Desk"))
        stand = "TVStand" if type_name == "Television" else draws.choice(stands)
        receptacle = place_type(floor, stand, "wall", room, draws)
        if receptacle is not None and put_on(floor, receptacle, type_name, draws):
            return True
    return False


def _holds_goal(floor: Floor, type_name: str) -> bool:
    if _lies_on_tops(floor, type_name):
        return fetchable_types(floor).issuperset({type_name})
    return type_name in types_in(floor)


def _lies_on_tops(floor: Floor, type_name: str) -> bool:
    """Whether a type must be where the arm gets at it, so not on the floor only."""
    return floor.style.arm_reach is not None and type_name in FETCHED_TYPES


def fetchable_types(floor: Floor) -> set[str]:
    """Types of which one lies on a receptacle within the arm's reach."""
    return {
        child.asset.type
        for item in floor.placed
        for child in item.children
        if child.asset.type in FETCHED_TYPES and fetchable(floor, child)
    }


def _floor_kinds(style: Style) -> dict[str, Where]:
    return {kind.type: kind.where for kinds in style.furniture.values() for kind in kinds}


def hang_paintings(
    floor: Floor, holes: Sequence[Hole], ceiling_height: float, draws: Draws
) -> list[Placed]:
    """Paintings, and in some rooms a television, on free wall pieces."""
    chance = floor.style.wall_television_chance
    hung: list[Placed] = []
    for segments in floor.layout.segments.values():
        kinds = ["Painting"] * floor.style.painting_tries
        if chance > 0.0 and draws.chance(chance):
            kinds[0] = "Television"
        walls = draws.shuffled(segments)
        for i, kind in enumerate(kinds):
            wall = walls[i % len(walls)]
            if pair_of(wall) not in floor.passages:
                item = _hang(floor, kind, wall, holes, ceiling_height, draws)
                if item is not None and not _overlaps(item, hung):
                    hung.append(item)
    return hung


def _hang(
    floor: Floor,
    kind: str,
    wall: Segment,
    holes: Sequence[Hole],
    ceiling_height: float,
    draws: Draws,
) -> Placed | None:
    flat = [asset for asset in assets_of(kind) if asset.size[2] <= _THICKEST]
    asset = draws.choice(flat)
    taken = any({hole.segment.p0, hole.segment.p1} == {wall.p0, wall.p1} for hole in holes)
    width, height, depth = asset.size
    if taken or wall.length < width + 0.4 or not draws.chance(0.6):
        return None
    x, z = wall.point(draws.uniform(width, wall.length - width), depth / 2)
    if width * 2 > wall.length or _hidden(floor, asset, x, z):
        return None
    base = min(_PAINTING_HEIGHT, ceiling_height - height / 2 - 0.1) - height / 2
    yaw = round(math.degrees(math.atan2(*wall.inward))) % 360.0
    item = Placed(asset=asset, x=x, z=z, yaw_deg=yaw, room=wall.room, base_y=base)
    return None if kind == "Television" and _meets_things(floor, item) else item


def _meets_things(floor: Floor, item: Placed) -> bool:
    """Whether something that thick would hang in what stands on the furniture below it."""
    things = (child for below in floor.placed for child in below.children)
    return any(
        thing.base_y + thing.asset.size[1] > item.base_y and item.rect.overlaps(thing.rect)
        for thing in things
    )


def _overlaps(item: Placed, others: Sequence[Placed]) -> bool:
    rect = item.rect
    return any(rect.overlaps(other.rect) for other in others if other.room == item.room)


def _hidden(floor: Floor, painting: Asset, x: float, z: float) -> bool:
    """Whether something tall stands before a painting's place."""
    half = painting.size[0] / 2
    place = Rect(x - half, z - half, x + half, z + half)
    return any(item.asset.size[1] > 1.0 and item.rect.overlaps(place) for item in floor.placed)
