"""No two common categories look alike: each is drawn in a room and described by what a policy sees.

The signature of a category is its mean colour, its real width and height, and its outline. Colours
count in CIELAB, lightness at half, since lights change; outlines as the share of the common box in
which only one of the two is.
"""

import itertools
import json
import math
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from flare.assets.looks import GOAL_TYPES
from flare.specs import CameraSpec
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, asset_library, load_houses
from flare.worlds.world import all_env_ids

# The 60 types that occur most often in ProcTHOR's and ProcTHOR-Objaverse's training houses, without
# what is part of the building (windows).
COMMON_TYPES = (
    "Painting", "Chair", "Book", "Pillow", "CellPhone", "DiningTable", "HousePlant",
    "RemoteControl", "Bed", "Pencil", "Bowl", "Dresser", "Statue", "Television", "Pen", "Vase",
    "KeyChain", "Laptop", "Toilet", "GarbageCan", "CreditCard", "Egg", "Mug", "Faucet",
    "SprayBottle", "Sink", "Watch", "Box", "ToiletPaper", "Sofa", "BaseballBat", "ArmChair",
    "Plate", "Candle", "DeskLamp", "AlarmClock", "Fridge", "CounterTop", "FloorLamp", "TVStand",
    "BasketBall", "Potato", "SoapBottle", "TissueBox", "CD", "DishSponge", "Lettuce", "Tomato",
    "Apple", "Plunger", "ButterKnife", "SideTable", "Fork", "Newspaper", "Spatula", "SaltShaker",
    "PaperTowelRoll", "Spoon", "Knife", "Cup",
)  # fmt: skip

_DISTANCE_THRESHOLD = 1.25
_COLOR_UNIT = 20.0  # CIELAB; a just noticeable difference is 2.3
_SIZE_UNIT = 0.6  # octaves of width or height
_OUTLINE_UNIT = 0.35
_OUTLINE = 16  # cells of an outline along each side

_CAMERA = CameraSpec(width=384, height=224)
_CAMERA_HEIGHT = 1.446  # m
_SLOPE = math.tan(math.radians(27.0))
_FOCAL = 0.5 * _CAMERA.height / math.tan(math.radians(29.5))  # px


class Signature(NamedTuple):
    """What is seen of a category."""

    color: NDArray[np.float64]  # [3] CIELAB, lightness halved
    size: NDArray[np.float64]  # [2] log2 of width and height in m
    outline: NDArray[np.bool_]  # [16, 16] of the box round it


def distance(a: Signature, b: Signature) -> float:
    """At 1 two categories differ by one unit of colour, size or outline."""
    color = float(np.linalg.norm(a.color - b.color)) / _COLOR_UNIT
    size = float(np.linalg.norm(a.size - b.size)) / _SIZE_UNIT
    either = int((a.outline | b.outline).sum())
    outline = int((a.outline ^ b.outline).sum()) / either / _OUTLINE_UNIT
    return math.sqrt(color**2 + size**2 + outline**2)


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """SRGB in [0, 1] to CIELAB under D65."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    return np.array([116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])])


def _house(type_name: str) -> str:
    """A white room with one thing ahead of the start, in the middle of the picture."""
    size = asset_library().category(type_name)["size"]
    ahead = 1.0 + 1.2 * max(size)
    center = max(_CAMERA_HEIGHT - ahead * _SLOPE, 0.5 * size[1])
    corners = [(-8.0, -2.0), (-8.0, 14.0), (8.0, 14.0), (8.0, -2.0)]

    def point(x: float, y: float, z: float) -> dict[str, float]:
        return {"x": x, "y": y, "z": z}

    def wall(start: tuple[float, float], end: tuple[float, float]) -> dict[str, Any]:
        return {
            "id": f"wall|0|{start}|{end}",
            "roomId": "room|0",
            "material": {"name": "White"},
            "polygon": [point(x, y, z) for y in (0, 2.5) for x, z in (start, end)],
        }

    thing = {
        "id": f"{type_name}|0|0",
        "assetId": f"typical_{type_name}",
        "objectType": type_name,
        "position": point(0, center, ahead),
        "rotation": point(0, 205, 0),
        "kinematic": True,
    }
    room = {
        "id": "room|0",
        "roomType": "LivingRoom",
        "floorPolygon": [point(x, 0, z) for x, z in corners],
        "floorMaterial": {"name": "White"},
        "ceilings": [],
        "children": [],
    }
    return json.dumps(
        {
            "rooms": [room],
            "walls": [wall(*pair) for pair in itertools.pairwise([*corners, corners[0]])],
            "doors": [],
            "windows": [],
            "objects": [thing],
            "proceduralParameters": {"ceilingMaterial": {"name": "White"}, "lights": []},
            "metadata": {
                "schema": "1.0.0",
                "agent": {"position": point(0, 0.95, 0), "rotation": point(0, 0, 0)},
            },
        }
    )


def _signature(
    rgb: NDArray[np.uint8], depth: NDArray[np.float32], mask: NDArray[np.bool_]
) -> Signature:
    rows, columns = np.nonzero(mask)
    top, left = rows.min(), columns.min()
    height, width = rows.max() + 1 - top, columns.max() + 1 - left
    meters = float(np.median(depth[mask])) / _FOCAL
    at = (np.arange(_OUTLINE) + 0.5) / _OUTLINE
    cells = np.ix_((top + at * height).astype(int), (left + at * width).astype(int))
    color = _lab(rgb[mask].mean(axis=0) / 255.0) * np.array([0.5, 1.0, 1.0])
    return Signature(color, np.log2(np.array([width, height]) * meters), mask[cells])


def signatures(types: tuple[str, ...]) -> dict[str, Signature]:
    """Draw every type once, all in one call."""
    houses = load_houses([(name, _house(name)) for name in types])
    with closing(EmbeddedWorlds(houses, num_envs=len(types), camera=_CAMERA)) as worlds:
        specs = np.zeros(len(types), EPISODE_DTYPE)
        specs["house"] = np.arange(len(types))
        frames = np.zeros((len(types), *_CAMERA.frame_shape), np.uint8)
        facts = np.zeros(len(types), worlds.facts_dtype)
        worlds.reset(all_env_ids(len(types)), specs, frames, facts)
        rgb, depth, ids = worlds.render(depth=True, ids=True)
    assert depth is not None and ids is not None
    return {name: _signature(rgb[i], depth[i], ids[i] == 1) for i, name in enumerate(types)}


@pytest.fixture(scope="module")
def common() -> dict[str, Signature]:
    """Signatures of the goal types and the common ones."""
    return signatures(tuple(dict.fromkeys((*GOAL_TYPES, *COMMON_TYPES))))


def test_no_two_common_categories_look_alike(common: dict[str, Signature]) -> None:
    """Every pair is further apart than a unit and a quarter."""
    alike = [
        f"{a} and {b}: {distance(common[a], common[b]):.2f}"
        for a, b in itertools.combinations(common, 2)
        if distance(common[a], common[b]) < _DISTANCE_THRESHOLD
    ]
    assert not alike


def test_the_distance_counts_colour_size_and_outline(common: dict[str, Signature]) -> None:
    """A thing is no distance from itself; each of the three alone makes one."""
    apple = common["Apple"]
    assert distance(apple, apple) == 0.0
    assert distance(
        apple, apple._replace(color=apple.color + np.array([0, 20, 0]))
    ) == pytest.approx(1.0)
    assert distance(apple, apple._replace(size=apple.size + np.array([0, 0.6]))) == pytest.approx(
        1.0
    )
    assert distance(apple, apple._replace(outline=common["Laptop"].outline)) > 0.5
