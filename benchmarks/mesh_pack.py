"""A pack with a mesh for every asset of some houses, as large as the asset's box.

Meshes of real assets cannot be shipped, so the shapes are the procedural examples; they go through
the exporter, the importer and the decimation that downloaded assets go through.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flare.assets.build import build_pack
from flare.assets.mesh import Asset
from flare.assets.objathor_writer import write_asset
from flare.assets.payload import ConversionConfig
from flare.assets.procedural import GENERATORS
from flare.worlds.embedded import House

_KINDS = sorted(GENERATORS)


def write_mesh_pack(houses: Sequence[House], folder: Path) -> Path:
    """Write the pack into a folder.

    Args:
        houses: loaded without a pack; their objects' boxes are the sizes of the meshes.
        folder: an existing one; the assets are written there too.
    """
    sizes = {str(o["asset_id"]): o["size"] for house in houses for o in house.objects()}
    made = {kind: GENERATORS[kind]() for kind in _KINDS}
    folders = []
    for asset_id, size in sorted(sizes.items()):
        mesh, texture = made[_KINDS[zlib.crc32(asset_id.encode()) % len(_KINDS)]]
        extent = np.ptp(mesh.vertices, axis=0)
        scaled = replace(mesh, vertices=mesh.vertices * (np.array(size) / extent))
        asset = Asset(asset_id=asset_id, mesh=scaled)
        folders.append(write_asset(folder / "assets", asset, {"albedo": texture}))
    pack = folder / "meshes.pack"
    build_pack(folders, pack, config=ConversionConfig())
    return pack
