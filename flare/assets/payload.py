"""One converted asset: levels of detail and texture as the bytes of a pack's payload.

The layout is that of csrc/render/asset_mesh.hpp: all numbers little-endian; PackLod per level,
coarsest first, then the arrays of each level, then the texture with its mip levels.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.assets.mesh import Asset, Mesh, centred
from flare.assets.simplify import Level, simplify
from flare.assets.textures import bounded_texture, mip_levels, read_texture
from flare.errors import UserError

SETTINGS_VERSION = 1  # raise it when the same source converts to other bytes
_LOD = struct.Struct("<QIIfI")
_LANES = 8  # vertices come in whole vectors
_MOST_REPEATS = 15.0  # of a texture; the reader accepts 16
_THINNEST = 1e-3  # m, of a box: flat things are drawn and picked up as if they had this thickness
_JPEG_NOISE = 16  # emission below this is black


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionConfig:
    """How finely assets are kept."""

    max_triangles: int = 8192  # of the finest level
    min_triangles: int = 32  # of the coarsest level; each has a quarter of the next finer one's
    max_texture: int = 256  # px of a side

    def __post_init__(self) -> None:
        """Refuse what the pack cannot hold. Raises UserError."""
        if not 2 <= self.min_triangles <= self.max_triangles <= 21_000:
            raise UserError(
                f"are {self.min_triangles} to {self.max_triangles}",
                key="max_triangles",
                mend="use 2 or more for the coarsest and at most 21000 for the finest level",
            )
        if self.max_texture not in [1 << bits for bits in range(11)]:
            raise UserError(
                f"is {self.max_texture}", key="max_texture", mend="use a power of two up to 1024"
            )

    @property
    def budgets(self) -> list[int]:
        """Triangles of the levels, finest first."""
        budgets = [self.max_triangles]
        while budgets[-1] // 4 >= self.min_triangles and len(budgets) < 8:
            budgets.append(budgets[-1] // 4)
        return budgets


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """The bytes of an asset in a pack, and what its table says of it."""

    data: bytes
    size: tuple[float, float, float]  # m
    texture_offset: int
    texture_width: int  # px
    texture_height: int
    triangles: tuple[int, ...]  # of the levels, coarsest first
    facts: dict[str, Any]  # for the table beside the pack


def convert_asset(asset: Asset, config: ConversionConfig) -> Payload:
    """Centre, decimate and pack one asset.

    Raises: UserError for a texture that cannot be read or a box that the pack does not hold.
    """
    mesh, extent = centred(asset)
    levels = make_levels(_welded(mesh), config.budgets)
    mips = mip_levels(bounded_texture(shown_texture(asset), config.max_texture))
    heads, arrays = [], bytearray()
    begin = _aligned(_LOD.size * len(levels))
    for level in reversed(levels):
        heads.append(_LOD.pack(begin + len(arrays), *_counts(level.mesh), level.error, 0))
        arrays += _level_bytes(level.mesh)
        arrays += bytes(-len(arrays) % 8)
    head = b"".join(heads)
    texture = b"".join(_texels(level) for level in mips)
    return Payload(
        data=head + bytes(begin - len(head)) + bytes(arrays) + texture,
        size=_size_of(extent),
        texture_offset=begin + len(arrays),
        texture_width=mips[0].shape[1],
        texture_height=mips[0].shape[0],
        triangles=tuple(level.mesh.num_triangles for level in reversed(levels)),
        facts={
            "pickupable": asset.is_pickupable,
            "receptacle": asset.is_receptacle,
            "mass": asset.mass,
        },
    )


def make_levels(mesh: Mesh, budgets: list[int]) -> list[Level]:
    """Levels of detail, finest first; errors and triangles never grow towards the finer ones.

    A budget that would not save an eighth of the triangles is left out.
    """
    levels = [simplify(mesh, budgets[0])]
    for budget in budgets[1:]:
        if levels[-1].mesh.num_triangles <= budget:
            continue
        level = simplify(mesh, budget)
        if level.mesh.num_triangles < 0.875 * levels[-1].mesh.num_triangles:
            levels.append(Level(level.mesh, max(level.error, levels[-1].error)))
    return levels


def shown_texture(asset: Asset) -> NDArray[np.uint8]:
    """[H, W, 3] sRGB: the albedo, and where the asset glows its emission on top."""
    albedo = read_texture(asset.textures["albedo"])
    if "emission" not in asset.textures:
        return albedo
    emission = read_texture(asset.textures["emission"])
    if emission.max() < _JPEG_NOISE:
        return albedo
    if emission.shape != albedo.shape:
        rows = np.arange(albedo.shape[0]) * emission.shape[0] // albedo.shape[0]
        columns = np.arange(albedo.shape[1]) * emission.shape[1] // albedo.shape[1]
        emission = emission[rows[:, None], columns]
    glow = np.where(emission >= _JPEG_NOISE, emission, 0).astype(np.uint16)
    lit: NDArray[np.uint16] = albedo + glow
    return np.minimum(lit, 255).astype(np.uint8)


def _welded(mesh: Mesh) -> Mesh:
    """One vertex where position, normal and texture coordinate agree; no unused ones."""
    corners = mesh.triangles.ravel()
    rows = np.concatenate([mesh.vertices, mesh.normals, mesh.uvs], axis=1)[corners]
    _, first, index = np.unique(np.round(rows, 5), axis=0, return_index=True, return_inverse=True)
    source = corners[first]
    return Mesh(
        vertices=mesh.vertices[source],
        normals=mesh.normals[source],
        uvs=mesh.uvs[source],
        triangles=index.reshape(-1, 3).astype(np.int32),
    )


def _counts(mesh: Mesh) -> tuple[int, int]:
    return len(mesh.vertices) + -len(mesh.vertices) % _LANES, mesh.num_triangles


def _level_bytes(mesh: Mesh) -> bytes:
    """x, y, z, u, v, normals, indices; the last vertex fills up to a multiple of eight."""
    order = np.minimum(np.arange(_counts(mesh)[0]), len(mesh.vertices) - 1)
    x, y, z = mesh.vertices[order].T
    u, v = _texture_coordinates(mesh.uvs)[order].T
    normals = np.zeros((len(order), 4), np.int8)
    normals[:, :3] = np.round(127.0 * mesh.normals[order])
    parts = [np.ascontiguousarray(each, "<f4") for each in (x, y, z, u, v)]
    indices = np.ascontiguousarray(mesh.triangles, "<u2")
    return b"".join([*(part.tobytes() for part in parts), normals.tobytes(), indices.tobytes()])


def _texture_coordinates(uvs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shifted by whole repeats towards 0, and kept in what the pack holds."""
    shifted = uvs - np.floor(uvs.mean(axis=0, dtype=np.float64)).astype(np.float32)
    kept: NDArray[np.float32] = np.clip(shifted, -_MOST_REPEATS, _MOST_REPEATS)
    return kept


def _texels(image: NDArray[np.uint8]) -> bytes:
    """0x00BBGGRR, the bottom row first."""
    rgb = image[::-1].astype("<u4")
    packed: NDArray[np.uint32] = rgb[..., 0] | rgb[..., 1] << 8 | rgb[..., 2] << 16
    return packed.astype("<u4").tobytes()


def _size_of(extent: NDArray[np.float32]) -> tuple[float, float, float]:
    x, y, z = (float(np.float32(max(side, _THINNEST))) for side in extent)
    return x, y, z


def _aligned(offset: int) -> int:
    return offset + -offset % 8
