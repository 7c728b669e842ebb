"""A picture of the assets of a pack, each as the simulator draws it."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flare.assets.pack import PackFile
from flare.atomic import write_bytes
from flare.errors import UserError
from flare.specs import CameraSpec
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, load_house
from flare.worlds.world import all_env_ids

_RENDER = 768  # px; the part with the asset is cut out
_NEAREST, _FARTHEST = 0.8, 12.0  # m between robot and asset
_CAMERA_HEIGHT, _CAMERA_SLOPE = 1.45, 0.5  # m; m down per m ahead of the navigation camera
_FILL = 0.9  # m of distance per m of the asset's longest side, at least
_YAW = 150.0  # degrees: an asset's front, turned a little aside
_MARGIN = 0.08  # of the cut
_LABEL = 28  # px below each asset
_COLUMNS = 8


def draw_contact_sheet(
    pack: Path, out: Path, *, ids: Sequence[str] = (), limit: int = 40, cell: int = 160
) -> int:
    """Draw assets of a pack into one PNG.

    Args:
        pack: made by ``flare assets build``.
        out: PNG file.
        ids: assets; none: the first ``limit`` of the pack.
        limit: most assets to draw.
        cell: px of a side of each picture.

    Returns: how many were drawn.
    Raises: UserError or HouseFormatError for a pack that is missing or damaged, or an unknown id.
    """
    with PackFile(pack) as opened:
        facts = opened.facts
    for name in ids:
        if name not in facts:
            raise UserError(
                f"has no asset {name!r}", file=pack, mend="build the pack with it, or correct --ids"
            )
    names = (list(ids) or list(facts))[:limit]
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * (cell + _LABEL)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, name in enumerate(names):
        x, y = index % columns * cell, index // columns * (cell + _LABEL)
        sheet.paste(Image.fromarray(draw_asset(pack, name, facts[name]["size"], cell)), (x, y))
        size = " x ".join(f"{side:.2f}" for side in facts[name]["size"])
        title = facts[name].get("type") or name[:12]
        pen.text((x + 3, y + cell + 1), f"{title}\n{size} m", fill="black", font_size=10)
    data = io.BytesIO()
    sheet.save(data, "PNG")
    write_bytes(out, data.getvalue())
    return len(names)


def draw_asset(pack: Path, name: str, size: Sequence[float], cell: int) -> NDArray[np.uint8]:
    """One asset in an empty room, cut out of the robot's view: [cell, cell, 3] uint8."""
    distance = float(np.clip(_FILL * max(size) + 0.5 * size[2], _NEAREST, _FARTHEST))
    height = max(0.5 * size[1], _CAMERA_HEIGHT - _CAMERA_SLOPE * distance)
    house = load_house(json.dumps(_stage(name, distance, height)), f"stage of {name}", assets=pack)
    worlds = EmbeddedWorlds([house], num_envs=1, camera=CameraSpec(width=84, height=48))
    specs = np.zeros(1, EPISODE_DTYPE)
    specs["x"], specs["z"] = house.start[0], house.start[1]
    frames = np.zeros((1, *worlds.camera.frame_shape), np.uint8)
    worlds.reset(all_env_ids(1), specs, frames, np.zeros(1, worlds.facts_dtype))
    rgb, _, seen = worlds.render(width=_RENDER, height=_RENDER, ids=True)
    worlds.close()
    assert seen is not None
    top, left, side = _square_round(seen[0] == 1)
    cut = Image.fromarray(rgb[0, top : top + side, left : left + side])
    return np.asarray(cut.resize((cell, cell), Image.Resampling.LANCZOS))


def _square_round(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Top, left and side of a square round what is seen; the whole image if nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0, 0, _RENDER
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    side = int(np.clip(extent * (1.0 + 2.0 * _MARGIN), 16, _RENDER))
    starts = [
        int(np.clip((span[0] + span[-1] - side) // 2, 0, _RENDER - side))
        for span in (rows, columns)
    ]
    return starts[0], starts[1], side


def _stage(asset_id: str, distance: float, height: float) -> dict[str, Any]:
    """A house of one empty room with the asset ahead of the robot."""
    width, depth = 4.0 + 2.0 * distance, 4.0 + 3.0 * distance
    corners = [(0.0, 0.0), (0.0, depth), (width, depth), (width, 0.0)]
    walls = [
        {
            "id": f"wall|2|{a[0]:.2f}|{a[1]:.2f}|{b[0]:.2f}|{b[1]:.2f}",
            "roomId": "room|2",
            "material": {"name": "PureWhite"},
            "polygon": [_point(x, y, z) for y in (0.0, 3.0) for x, z in (a, b)],
        }
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    room = {
        "id": "room|2",
        "roomType": "LivingRoom",
        "floorPolygon": [_point(x, 0.0, z) for x, z in corners],
        "floorMaterial": {"name": "PureWhite"},
    }
    thing = {
        "id": "Asset|2|0",
        "assetId": asset_id,
        "position": _point(0.5 * width, height, 1.0 + distance),
        "rotation": _point(0.0, _YAW, 0.0),
        "kinematic": True,
    }
    start = {"position": _point(0.5 * width, 0.95, 1.0), "rotation": _point(0.0, 0.0, 0.0)}
    return {
        "rooms": [room],
        "walls": walls,
        "doors": [],
        "windows": [],
        "objects": [thing],
        "proceduralParameters": {},
        "metadata": {"schema": "1.0.0", "agent": start},
    }


def _point(x: float, y: float, z: float) -> dict[str, float]:
    return {"x": x, "y": y, "z": z}
