"""Writes asset folders in the layout that flare.assets.objathor_format reads.

With visibility points, colliders and metadata, so that the folder can also be handed to AI2-THOR's
CreateRuntimeAsset.
"""

import gzip
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flare.assets.encodings import ENCODINGS, write_document
from flare.assets.mesh import Asset, Collider, Mesh, rotate_y
from flare.assets.objathor_format import METADATA_FILE
from flare.atomic import replace_directory, write_bytes, write_json
from flare.errors import UserError

_VOXEL = 0.05  # m between visibility points; twice that along sides of more than ten
_LEAST_VOXELS = 3  # per side
_POINTS_PER_VOXEL = 5  # drawn on the surface, of which the most central is kept
_MOST_COLLIDERS = 30
_QUALITY = 92  # of JPEG
_FLAT_NORMAL = np.full((1, 1, 3), (128, 128, 255), np.uint8)
_NO_EMISSION = np.zeros((1, 1, 3), np.uint8)


def write_asset(
    parent: Path,
    asset: Asset,
    textures: Mapping[str, NDArray[np.uint8]],
    encoding: str = ".pkl.gz",
) -> Path:
    """Write ``parent/<asset id>/``, replacing what stands there; the folder appears as a whole.

    Visibility points and colliders are made from the mesh where the asset has none.

    Args:
        parent: folder of asset folders; made where it is missing.
        asset: its ``textures`` (paths) are not looked at.
        textures: "albedo" and, if there are any, other names of flare.assets.mesh.TEXTURES;
            [H, W, 3] uint8. Without "normal" and "emission" a flat and a black one are written.
        encoding: a member of ENCODINGS. AI2-THOR itself reads all but .pkl.gz.

    Returns: the asset's folder.
    Raises: UserError if the disk refuses or the encoding does not exist.
    """
    if encoding not in ENCODINGS:
        raise UserError(
            f"is {encoding!r}", key="encoding", mend=f"choose one of {', '.join(ENCODINGS)}"
        )
    if len(asset.visibility_points) == 0:
        asset = replace(asset, visibility_points=visibility_points(asset.mesh))
    if not asset.colliders:
        asset = replace(asset, colliders=box_colliders(asset.mesh))
    images = {"normal": _FLAT_NORMAL, "emission": _NO_EMISSION, **textures}
    folder = parent / asset.asset_id
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=parent) as scratch:
            new = Path(scratch, asset.asset_id)
            new.mkdir()
            write_document(new / f"{asset.asset_id}{encoding}", to_document(asset, list(images)))
            for name, image in images.items():
                Image.fromarray(image).save(new / f"{name}.jpg", quality=_QUALITY)
            write_json(new / METADATA_FILE, _metadata(asset))
            replace_directory(new, folder)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror or error})",
            file=folder,
            mend="choose a folder that you may write to, on a disk with room",
        ) from error
    return folder


def to_document(asset: Asset, textures: list[str]) -> dict[str, Any]:
    """The mesh file's keys: one vertex per face corner, points as maps of their coordinates."""
    mesh = asset.mesh
    corners = mesh.triangles.ravel()
    return {
        "name": asset.asset_id,
        "receptacleCandidate": asset.receptacle_candidate,
        **{f"{name}TexturePath": f"{name}.jpg" for name in textures},
        "vertices": _maps(mesh.vertices[corners], "xyz"),
        "triangles": list(range(len(corners))),
        "normals": _maps(mesh.normals[corners], "xyz"),
        "uvs": _maps(mesh.uvs[corners], "xy"),
        "visibilityPoints": _maps(asset.visibility_points, "xyz"),
        "colliders": [
            {"vertices": _maps(part.vertices, "xyz"), "triangles": part.triangles.ravel().tolist()}
            for part in asset.colliders
        ],
        "yRotOffset": asset.y_rot_offset,
        "physicalProperties": {
            "mass": asset.mass,
            "drag": 1,
            "angularDrag": 1,
            "useGravity": True,
            "isKinematic": False,
        },
    }


def write_annotations(path: Path, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``annotations.json.gz``: asset id -> record. Raises UserError if the disk refuses."""
    text = json.dumps(records, separators=(",", ":"), allow_nan=False)
    write_bytes(path, gzip.compress(text.encode(), 6, mtime=0))


def visibility_points(mesh: Mesh) -> NDArray[np.float32]:
    """[P, 3] points on the surface, the most central one of each voxel that it passes through.

    Voxels are 5 cm (10 cm along sides of more than ten), at least three to a side. The draw is
    seeded: the same mesh gives the same points.
    """
    low, high = mesh.bounds()
    size = (high - low).astype(np.float64)
    counts = np.maximum(_LEAST_VOXELS, (size / _VOXEL).astype(int))
    counts = np.where(counts > 10, (size / (2 * _VOXEL)).astype(int), counts)
    points = _surface_points(mesh, _POINTS_PER_VOXEL * int(np.prod(counts)))
    place = (points - low) / np.maximum(size, 1e-9) * counts
    voxel = np.minimum(place.astype(int), counts - 1)
    step = size / counts
    off = np.linalg.norm((place - voxel - 0.5) * step, axis=1)
    order = np.argsort(off, kind="stable")
    _, first = np.unique(voxel[order], axis=0, return_index=True)
    return points[order[first]].astype(np.float32)


def _surface_points(mesh: Mesh, count: int) -> NDArray[np.float64]:
    """Points spread evenly over the triangles' area."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(edge1, edge2), axis=1)
    rng = np.random.default_rng(count)
    face = rng.choice(len(areas), count, p=areas / areas.sum())
    a, b = rng.random((2, count, 1))
    outside = a + b > 1.0
    a, b = np.where(outside, 1.0 - a, a), np.where(outside, 1.0 - b, b)
    spread: NDArray[np.float64] = corners[face, 0] + a * edge1[face] + b * edge2[face]
    return spread


def box_colliders(mesh: Mesh) -> tuple[Collider, ...]:
    """The box of each connected part of a mesh; of more than 30 parts, one box of all.

    Boxes are convex, which is all that a physics engine asks; a true convex decomposition is finer.
    """
    part_of = _connected_parts(mesh)
    names = np.unique(part_of)
    groups = [mesh.triangles[part_of == name] for name in names]
    if len(groups) > _MOST_COLLIDERS:
        groups = [mesh.triangles]
    return tuple(_box_collider(mesh.vertices[group.ravel()]) for group in groups)


def _connected_parts(mesh: Mesh) -> NDArray[np.int64]:
    """[F] a number of the part of each triangle; corners at one place belong together."""
    _, point = np.unique(np.round(mesh.vertices, 5), axis=0, return_inverse=True)
    faces = point.reshape(-1)[mesh.triangles]
    name = np.arange(int(point.max()) + 1)
    while True:
        before = name.copy()
        lowest = name[faces].min(axis=1)
        for corner in range(3):
            np.minimum.at(name, faces[:, corner], lowest)
        name = name[name]
        if np.array_equal(name, before):
            return name[faces[:, 0]].astype(np.int64)


def _box_collider(points: NDArray[np.float32]) -> Collider:
    low, high = points.min(axis=0), points.max(axis=0)
    corner = np.array([[i & 1, (i >> 1) & 1, (i >> 2) & 1] for i in range(8)])
    sides = [
        (0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4),
        (2, 6, 7), (2, 7, 3), (0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5),
    ]  # fmt: skip
    return Collider(
        vertices=np.where(corner == 1, high, low).astype(np.float32),
        triangles=np.array(sides, np.int32),
    )


def _metadata(asset: Asset) -> dict[str, Any]:
    turned = rotate_y(asset.mesh.vertices, asset.y_rot_offset)[asset.mesh.triangles.ravel()]
    low, high = _maps(np.stack([turned.min(axis=0), turned.max(axis=0)]), "xyz")
    return {
        "assetMetadata": {
            "boundingBox": {"min": low, "max": high},
            "primaryProperty": asset.primary_property,
            "secondaryProperties": list(asset.secondary_properties),
        }
    }


def _maps(rows: NDArray[np.float32], axes: str) -> list[dict[str, float]]:
    names = tuple(axes)
    return [dict(zip(names, row, strict=True)) for row in rows.tolist()]
