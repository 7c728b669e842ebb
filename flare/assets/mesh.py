"""What an asset is once it is read: a triangle mesh as arrays, its textures, what is known of it.

The frame is Unity's: metres, y up, left-handed, a triangle seen from the side from which its
corners run clockwise; the first row of a texture is v = 1.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Names of the textures an asset may have; the file has the same name, albedo.jpg.
TEXTURES = ("albedo", "normal", "emission", "metallicSmoothness")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mesh:
    """V vertices and F triangles. A vertex has one normal and one texture coordinate."""

    vertices: NDArray[np.float32]  # [V, 3] m
    normals: NDArray[np.float32]  # [V, 3] unit length
    uvs: NDArray[np.float32]  # [V, 2], (0, 0) is the texture's lower left corner
    triangles: NDArray[np.int32]  # [F, 3] indices of vertices

    @property
    def num_triangles(self) -> int:
        """F."""
        return len(self.triangles)

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest corner [3] of the box round the vertices that triangles use."""
        used = self.vertices[self.triangles.ravel()]
        return used.min(axis=0), used.max(axis=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Collider:
    """A convex part that stands for the mesh in a physics engine."""

    vertices: NDArray[np.float32]  # [K, 3] m
    triangles: NDArray[np.int32]  # [L, 3]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One asset folder."""

    asset_id: str
    mesh: Mesh
    textures: dict[str, Path] = field(default_factory=dict)  # name of TEXTURES -> image file
    y_rot_offset: float = 0.0  # degrees clockwise from above, applied before the object's own
    visibility_points: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 3), np.float32)
    )  # [P, 3] m, on the surface
    colliders: tuple[Collider, ...] = ()
    receptacle_candidate: bool = False
    mass: float = 1.0  # kg
    primary_property: str = "CanPickup"  # "CanPickup", "Moveable" or "Static"
    secondary_properties: tuple[str, ...] = ()

    @property
    def is_pickupable(self) -> bool:
        """A robot may pick it up."""
        return self.primary_property == "CanPickup"

    @property
    def is_receptacle(self) -> bool:
        """Other things may stand on it."""
        return self.receptacle_candidate or "Receptacle" in self.secondary_properties


def rotate_y(points: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Turn points [..., 3] about y, clockwise seen from above, as Unity does."""
    if degrees == 0.0:
        return points
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = (points[..., axis].astype(np.float64) for axis in range(3))
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=-1).astype(np.float32)


def centred(asset: Asset) -> tuple[Mesh, NDArray[np.float32]]:
    """The mesh as a house places it, and its box size [3] in metres.

    Turned by ``y_rot_offset``, then moved so that its bounding box has its centre at the origin:
    an object's position in a house is the centre of that box.
    """
    mesh = asset.mesh
    vertices = rotate_y(mesh.vertices, asset.y_rot_offset)
    used = vertices[mesh.triangles.ravel()]
    low, high = used.min(axis=0), used.max(axis=0)
    turned = Mesh(
        vertices=vertices - 0.5 * (low + high),
        normals=rotate_y(mesh.normals, asset.y_rot_offset),
        uvs=mesh.uvs,
        triangles=mesh.triangles,
    )
    return turned, high - low
