"""Meshes with textures made by formula: material for tests, and an example of what can be exported.

Each function returns a mesh that stands on y = 0 round the y axis, and its albedo texture.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from flare.assets.mesh import Mesh

Texture = NDArray[np.uint8]  # [H, W, 3] sRGB
Rectangle = tuple[float, float, float, float]  # of texture space: u0, v0, u1, v1
_WHOLE: Rectangle = (0.0, 0.0, 1.0, 1.0)


class MeshDraft:
    """Collects parts that are grids of points over rectangles of one texture."""

    def __init__(self) -> None:
        self._vertices: list[NDArray[np.float64]] = []
        self._normals: list[NDArray[np.float64]] = []
        self._uvs: list[NDArray[np.float64]] = []
        self._triangles: list[NDArray[np.int64]] = []
        self._count = 0

    def grid(
        self,
        points: NDArray[np.float64],
        rectangle: Rectangle = _WHOLE,
        *,
        normals: NDArray[np.float64] | None = None,
        double_sided: bool = False,
    ) -> None:
        """Add a surface.

        Args:
            points: [R, C, 3]; seen from the side to which (row step) x (column step) points.
            rectangle: of the texture; columns run along u, rows along v.
            normals: [R, C, 3]; by default those of the grid itself.
            double_sided: seen from behind too.
        """
        rows, columns = points.shape[:2]
        u0, v0, u1, v1 = rectangle
        v, u = np.meshgrid(np.linspace(v0, v1, rows), np.linspace(u0, u1, columns), indexing="ij")
        if normals is None:
            normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
        lengths = np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        normals = normals / lengths
        at = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
        triangles = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
        for sign, order in ((1.0, triangles), (-1.0, triangles[:, ::-1])):
            self._vertices.append(points.reshape(-1, 3))
            self._normals.append(sign * normals.reshape(-1, 3))
            self._uvs.append(np.column_stack([u.ravel(), v.ravel()]))
            self._triangles.append(order + self._count)
            self._count += rows * columns
            if not double_sided:
                break

    def box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        rectangle: Rectangle = _WHOLE,
        cells: int = 1,
    ) -> None:
        """Add six sides, each over the whole rectangle, divided into ``cells`` x ``cells``."""
        a, b = np.asarray(low, float), np.asarray(high, float)
        steps = np.linspace(0.0, 1.0, cells + 1)
        for axis in range(3):
            up, along = (axis + 1) % 3, (axis + 2) % 3  # up x along = axis
            for side in (0, 1):
                first, second = (up, along) if side else (along, up)
                points = np.empty((cells + 1, cells + 1, 3))
                points[..., axis] = (b if side else a)[axis]
                points[..., first] = (a[first] + (b - a)[first] * steps)[:, None]
                points[..., second] = (a[second] + (b - a)[second] * steps)[None, :]
                self.grid(points, rectangle)

    def lathe(
        self,
        profile: Sequence[tuple[float, float]],
        segments: int,
        rectangle: Rectangle = _WHOLE,
        center: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Add a surface of revolution round (x, z); ``profile`` is (radius, y) from below.

        Seen from outside where the profile goes up, from inside where it goes down.
        """
        angles = np.linspace(0.0, 2.0 * np.pi, segments + 1)
        radius, y = np.asarray(profile, float).T
        points = np.stack(
            [
                center[0] + radius[:, None] * np.cos(angles),
                np.repeat(y[:, None], segments + 1, axis=1),
                center[1] + radius[:, None] * np.sin(angles),
            ],
            axis=-1,
        )
        slope_r, slope_y = np.gradient(radius), np.gradient(y)
        normals = np.stack(
            [
                slope_y[:, None] * np.cos(angles),
                np.repeat(-slope_r[:, None], segments + 1, axis=1),
                slope_y[:, None] * np.sin(angles),
            ],
            axis=-1,
        )
        self.grid(points, rectangle, normals=normals)

    def mesh(self) -> Mesh:
        """All parts; triangles without area (at the tips of lathes) are left out."""
        vertices = np.concatenate(self._vertices).astype(np.float32)
        triangles = np.concatenate(self._triangles)
        corners = vertices[triangles].astype(np.float64)
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        triangles = triangles[np.linalg.norm(area, axis=1) > 1e-12]
        return Mesh(
            vertices=vertices,
            normals=np.concatenate(self._normals).astype(np.float32),
            uvs=np.concatenate(self._uvs).astype(np.float32),
            triangles=triangles.astype(np.int32),
        )


def _curve(points: Sequence[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    """``count`` points evenly along a polyline."""
    line = np.asarray(points, float)
    at = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    where = np.linspace(0.0, at[-1], count)
    return [(float(np.interp(w, at, line[:, 0])), float(np.interp(w, at, line[:, 1])))
            for w in where]  # fmt: skip


def _paint(size: int, rgb: tuple[float, float, float], contrast: float, waves: float) -> Texture:
    """A colour with soft stripes along v, like grain."""
    v, u = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    stripes = np.sin(2 * np.pi * waves * (u + 0.02 * np.sin(9.0 * v)))
    values = np.asarray(rgb) * (1.0 + contrast * stripes[..., None])
    painted: Texture = np.clip(255.0 * values, 0, 255).round().astype(np.uint8)
    return painted


def mug() -> tuple[Mesh, Texture]:
    """A cup of 10 cm with a handle: red outside with a white band, pale inside."""
    draft = MeshDraft()
    wall = [(0.0, 0.0), (0.038, 0.0), (0.042, 0.1), (0.038, 0.1)]
    draft.lathe(_curve(wall, 40), 48, (0.0, 0.25, 1.0, 1.0))
    draft.lathe(_curve([(0.038, 0.1), (0.035, 0.008), (0.0, 0.008)], 30), 48, (0.0, 0.0, 0.5, 0.2))
    bend, round_ = np.meshgrid(
        np.linspace(-0.45 * np.pi, 0.45 * np.pi, 24), np.linspace(0, 2 * np.pi, 13), indexing="ij"
    )
    reach = 0.026 + 0.005 * np.cos(round_)
    points = np.stack(
        [0.036 + reach * np.cos(bend), 0.052 + reach * np.sin(bend), 0.005 * np.sin(round_)], -1
    )
    draft.grid(points[:, ::-1], (0.5, 0.0, 1.0, 0.2))
    texture = _paint(256, (0.78, 0.12, 0.10), 0.05, 6)
    texture[round(256 * 0.25) : round(256 * 0.45)] = (240, 238, 230)  # row 0 is v = 1
    texture[round(256 * 0.78) :, :128] = (228, 214, 190)
    return draft.mesh(), texture


def chair() -> tuple[Mesh, Texture]:
    """Seat, back and four legs of grained wood, 0.9 m high; the front is +z."""
    draft = MeshDraft()
    seat, wood = (0.0, 0.5, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5)
    draft.box((-0.22, 0.42, -0.22), (0.22, 0.46, 0.22), seat, cells=10)
    draft.box((-0.22, 0.46, -0.22), (0.22, 0.9, -0.18), seat, cells=10)
    for x in (-0.22, 0.18):
        for z in (-0.22, 0.18):
            draft.box((x, 0.0, z), (x + 0.04, 0.42, z + 0.04), wood, cells=5)
    texture = _paint(256, (0.50, 0.32, 0.16), 0.25, 9)
    texture[:128] = _paint(256, (0.20, 0.30, 0.62), 0.15, 20)[:128]
    return draft.mesh(), texture


def plant() -> tuple[Mesh, Texture]:
    """A clay pot with sixteen bent leaves that are open surfaces seen from both sides."""
    draft = MeshDraft()
    pot = [(0.0, 0.0), (0.09, 0.0), (0.13, 0.2), (0.11, 0.2), (0.1, 0.17), (0.0, 0.17)]
    draft.lathe(_curve(pot, 36), 36, (0.0, 0.0, 1.0, 0.45))
    for leaf in range(16):
        angle = leaf * 2.399963  # the golden angle
        length = 0.28 + 0.02 * (leaf % 5)
        along, across = np.meshgrid(np.linspace(0, 1, 14), np.linspace(-1, 1, 7), indexing="ij")
        out = 0.02 + length * along
        width = 0.055 * np.sin(np.pi * np.clip(along, 0.02, 0.98)) * across
        height = 0.17 + (0.75 - 0.025 * leaf) * along * (1.3 - along) - 0.05 * across**2
        cos, sin = np.cos(angle), np.sin(angle)
        points = np.stack([out * cos - width * sin, height, out * sin + width * cos], -1)
        draft.grid(points, (0.0, 0.5, 1.0, 1.0), double_sided=True)
    texture = _paint(256, (0.62, 0.34, 0.22), 0.06, 5)
    texture[:128] = _paint(256, (0.14, 0.50, 0.16), 0.2, 11)[:128]
    return draft.mesh(), texture


def painting() -> tuple[Mesh, Texture]:
    """A framed canvas of four colours, 0.8 m x 0.6 m, facing +z."""
    draft = MeshDraft()
    draft.box((-0.4, 0.0, -0.015), (0.4, 0.6, 0.01), (0.9, 0.0, 1.0, 0.1))
    x, y = np.linspace(-0.36, 0.36, 13), np.linspace(0.04, 0.56, 13)
    grid_x, grid_y = np.meshgrid(x, y, indexing="xy")
    canvas = np.stack([grid_x, grid_y, np.full_like(grid_x, 0.015)], -1)
    draft.grid(canvas[:, ::-1], (0.0, 0.0, 0.8, 1.0))
    texture = np.zeros((256, 256, 3), np.uint8)
    texture[:] = (60, 42, 30)
    for row, column, colour in (
        (0, 0, (200, 40, 40)), (0, 1, (40, 160, 60)), (1, 0, (40, 70, 200)), (1, 1, (230, 200, 40))
    ):  # fmt: skip
        texture[row * 128 : row * 128 + 128, column * 102 : column * 102 + 102] = colour
    return draft.mesh(), texture


# Object type of AI2-THOR -> how its example is made.
GENERATORS: dict[str, Callable[[], tuple[Mesh, Texture]]] = {
    "Mug": mug,
    "Chair": chair,
    "HousePlant": plant,
    "Painting": painting,
}
