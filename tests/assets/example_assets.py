"""Asset folders made from the procedural meshes, for the tests of this package."""

from pathlib import Path
from typing import Any

import pytest

from flare.assets.mesh import Asset
from flare.assets.objathor_writer import write_asset
from flare.assets.procedural import GENERATORS

for _package in ("msgpack", "fast_simplification"):
    pytest.importorskip(_package, reason="pip install 'flare-rl[assets]'")

_PRIMARY = {"Mug": "CanPickup", "Chair": "Moveable", "HousePlant": "CanPickup"}


def example_id(kind: str) -> str:
    """32 hex digits, like the ids of Objaverse."""
    return kind.encode().hex().ljust(32, "0")[:32]


def write_example(
    parent: Path, kind: str, encoding: str = ".msgpack.gz", **changes: Any
) -> tuple[Path, Asset]:
    """Write one example; the folder and the asset as it was before writing."""
    mesh, texture = GENERATORS[kind]()
    fields: dict[str, Any] = {
        "asset_id": example_id(kind),
        "mesh": mesh,
        "mass": 0.35,
        "primary_property": _PRIMARY.get(kind, "Static"),
        "secondary_properties": ("Receptacle",) if kind in ("Mug", "Chair") else (),
        **changes,
    }
    asset = Asset(**fields)
    return write_asset(parent, asset, {"albedo": texture}, encoding), asset
