"""Asset folders in the layout of objathor: reading one with every check.

``<folder>/<id>/`` holds the mesh file ``<id>.pkl.gz`` (or another of flare.assets.encodings), the
textures ``albedo.jpg``, ``normal.jpg``, ``emission.jpg`` and ``thor_metadata.json``. docs/assets.md
lists the keys.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.assets.encodings import ENCODINGS, read_bounded, read_document
from flare.assets.mesh import TEXTURES, Asset, Collider, Mesh
from flare.errors import UserError

METADATA_FILE = "thor_metadata.json"
LARGEST_SIDE = 20.0  # m, as for the objects of a house
SMALLEST_SIDE = 1e-3  # m, of the longest side
MOST_VERTICES = 3_000_000  # published meshes have about 20 thousand
_LARGEST_METADATA = 16 * 2**20  # bytes
_REDO = "export the asset again"


def find_mesh_file(folder: Path) -> Path:
    """The mesh file of an asset folder, the first encoding that exists.

    Raises: UserError if the folder is none or has no mesh file.
    """
    if not folder.is_dir():
        raise UserError("there is no such folder", file=folder, mend="check the path")
    for encoding in ENCODINGS:
        file = folder / f"{folder.name}{encoding}"
        if file.is_file():
            return file
    raise UserError(
        f"holds no mesh file {folder.name}.pkl.gz (or {', '.join(ENCODINGS[:-1])})",
        file=folder,
        mend="download the asset again, or give the folder that holds the asset folders",
    )


def read_asset(folder: Path) -> Asset:
    """Read an asset folder; its name is the asset's id.

    The textures are found but not decoded (flare.assets.textures does that).

    Raises: UserError naming file, key and mend for anything missing, broken or out of range.
    """
    folder = Path(folder)
    file = find_mesh_file(folder)
    document = read_document(file)
    try:
        asset = _from_document(document, folder)
    except UserError as error:
        raise error.at(file=file) from error
    return asset


def _from_document(document: dict[str, Any], folder: Path) -> Asset:
    name = document.get("name", folder.name)
    if name != folder.name:
        raise UserError(
            f"is {str(name)[:80]!r}, the folder is {folder.name!r}",
            key="name",
            mend="give the folder the asset's name",
        )
    points = document.get("visibilityPoints")
    primary, secondary = _read_metadata(folder / METADATA_FILE)
    return Asset(
        asset_id=folder.name,
        mesh=_read_mesh(document),
        textures=_find_textures(document, folder),
        y_rot_offset=_number(document, "yRotOffset", 0.0, 360.0),
        visibility_points=_vectors(document, "visibilityPoints", "xyz")
        if points is not None and len(_as_list(points, "visibilityPoints")) > 0
        else np.zeros((0, 3), np.float32),
        colliders=_read_colliders(document),
        receptacle_candidate=_flag(document, "receptacleCandidate"),
        mass=_mass(document),
        primary_property=primary,
        secondary_properties=secondary,
    )


def _read_mesh(document: dict[str, Any]) -> Mesh:
    vertices = _vectors(document, "vertices", "xyz")
    normals = _vectors(document, "normals", "xyz")
    uvs = _vectors(document, "uvs", "xy")
    for key, values in (("normals", normals), ("uvs", uvs)):
        if len(values) != len(vertices):
            raise UserError(f"has {len(values)} entries for {len(vertices)} vertices", key=key,
                            mend=_REDO)  # fmt: skip
    triangles = _triangles(document, "triangles", len(vertices))
    mesh = Mesh(vertices=vertices, normals=_unit(normals), uvs=uvs, triangles=triangles)
    low, high = mesh.bounds()
    longest = float((high - low).max())
    if not SMALLEST_SIDE <= longest <= LARGEST_SIDE:
        raise UserError(
            f"span {longest:g} m, outside {SMALLEST_SIDE:g} to {LARGEST_SIDE:g} m",
            key="vertices",
            mend="scale the mesh to metres",
        )
    corners = vertices[triangles].astype(np.float64)
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if not np.any(areas):
        raise UserError("have no area", key="triangles", mend=_REDO)
    return mesh


def _find_textures(document: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Files of the textures that are named, by paths of the machine that made the document."""
    found = {}
    for name in TEXTURES:
        key = f"{name}TexturePath"
        path = document.get(key)
        if path is None and name != "albedo":
            continue
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise UserError(f"is {_shown(path)}, not a path", key=key, mend=_REDO)
        file = folder / path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        if not file.is_file():
            raise UserError(
                f"there is no {file.name[:80]} in the folder", key=key, mend="download it again"
            )
        found[name] = file
    return found


def _read_colliders(document: dict[str, Any]) -> tuple[Collider, ...]:
    parts = document.get("colliders")
    if parts is None:
        return ()
    out = []
    for index, part in enumerate(_as_list(parts, "colliders")):
        try:
            if not isinstance(part, dict):
                raise UserError(f"is {_shown(part)}, not a map", mend=_REDO)
            vertices = _vectors(part, "vertices", "xyz")
            triangles = _triangles(part, "triangles", len(vertices))
        except UserError as error:
            raise error.at(prefix=f"colliders[{index}]") from error
        out.append(Collider(vertices=vertices, triangles=triangles))
    return tuple(out)


def _mass(document: dict[str, Any]) -> float:
    physical = document.get("physicalProperties")
    if physical is None:
        return 1.0
    if not isinstance(physical, dict):
        raise UserError(f"is {_shown(physical)}, not a map", key="physicalProperties", mend=_REDO)
    try:
        return _number(physical, "mass", 1.0, 1e5)
    except UserError as error:
        raise error.at(prefix="physicalProperties") from error


def _read_metadata(file: Path) -> tuple[str, tuple[str, ...]]:
    """Primary property and secondary ones; without the file a thing can be picked up."""
    if not file.exists():
        return "CanPickup", ()
    try:
        document = json.loads(read_bounded(file, _LARGEST_METADATA))
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}", file=file, mend="download it again") from error
    metadata = document.get("assetMetadata") if isinstance(document, dict) else None
    key = "assetMetadata"
    if isinstance(metadata, dict):
        primary, secondary = metadata.get("primaryProperty"), metadata.get("secondaryProperties")
        key = "assetMetadata.primaryProperty"
        if isinstance(primary, str):
            key = "assetMetadata.secondaryProperties"
            if secondary is None:
                secondary = []
            if isinstance(secondary, list) and all(isinstance(each, str) for each in secondary):
                return primary, tuple(secondary)
    raise UserError("is missing or of the wrong kind", file=file, key=key, mend=_REDO)


# --- values of a document ---


def _vectors(document: dict[str, Any], key: str, axes: str) -> NDArray[np.float32]:
    """[N, len(axes)] float32 from a list of {"x": …} maps or of rows, or from an array."""
    values = _as_list(_required(document, key), key)
    if not 0 < len(values) <= MOST_VERTICES:
        raise UserError(
            f"has {len(values):,} entries, needs 1 to {MOST_VERTICES:,}", key=key, mend=_REDO
        )
    try:
        if isinstance(values, list) and isinstance(values[0], dict):
            names = tuple(axes)
            values = [[entry[name] for name in names] for entry in values]
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=np.float64).astype(np.float32)
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise UserError(
            f"is not a list of {{{', '.join(axes)}}} of numbers ({type(error).__name__}: "
            f"{str(error)[:80]})",
            key=key,
            mend=_REDO,
        ) from error
    if array.ndim != 2 or array.shape[1] != len(axes):
        raise UserError(f"has shape {array.shape}, needs [N, {len(axes)}]", key=key, mend=_REDO)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise UserError(f"is not finite ({len(bad)} such entries)", key=f"{key}[{bad[0]}]",
                        mend=_REDO)  # fmt: skip
    return array


def _triangles(document: dict[str, Any], key: str, num_vertices: int) -> NDArray[np.int32]:
    """[F, 3] int32 from a flat list of indices."""
    values = _as_list(_required(document, key), key)
    try:
        flat = np.asarray(values).reshape(-1)
        if flat.dtype.kind not in "iu" and not (
            flat.dtype.kind == "f" and np.array_equal(flat, np.floor(flat))
        ):
            raise TypeError(f"found {flat.dtype}")
        in_range = (flat >= 0) & (flat < num_vertices)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"is not a list of indices ({type(error).__name__}: {str(error)[:80]})",
            key=key,
            mend=_REDO,
        ) from error
    if len(flat) == 0 or len(flat) % 3 or len(flat) > 3 * MOST_VERTICES:
        raise UserError(
            f"has {len(flat):,} indices, needs 3 for each of at least one triangle",
            key=key,
            mend=_REDO,
        )
    if not in_range.all():
        at = int(np.argmin(in_range))
        raise UserError(
            f"is {flat[at]}, but there are {num_vertices} vertices", key=f"{key}[{at}]", mend=_REDO
        )
    return flat.astype(np.int32).reshape(-1, 3)


def _number(document: dict[str, Any], key: str, default: float, largest: float) -> float:
    value = document.get(key, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or abs(value) > largest:
        raise UserError(f"is {_shown(value)}, not a number up to {largest:g}", key=key, mend=_REDO)
    return float(value)


def _flag(document: dict[str, Any], key: str) -> bool:
    value = document.get(key, False)
    if value not in (False, True):
        raise UserError(f"is {_shown(value)}, not true or false", key=key, mend=_REDO)
    return bool(value)


def _required(document: dict[str, Any], key: str) -> Any:  # noqa: ANN401
    if key not in document:
        raise UserError("is missing", key=key, mend=_REDO)
    return document[key]


def _as_list(value: Any, key: str) -> list[Any] | NDArray[Any]:  # noqa: ANN401
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0):
        return value
    raise UserError(f"is {_shown(value)}, not a list", key=key, mend=_REDO)


def _shown(value: object) -> str:
    """A value for a message: plain ones as they are, others by their type."""
    plain = value is None or isinstance(value, str | int | float)
    return repr(value)[:60] if plain else f"a {type(value).__name__}"


def _unit(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normals of length 1; those without a direction point up."""
    wide = normals.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    return np.where(lengths > 1e-12, wide / np.maximum(lengths, 1e-12), up).astype(np.float32)
