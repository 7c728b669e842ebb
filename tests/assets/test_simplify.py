import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.assets.mesh import Mesh, rotate_y
from flare.assets.payload import make_levels
from flare.assets.procedural import GENERATORS, MeshDraft
from flare.assets.simplify import simplify

pytest.importorskip("fast_simplification", reason="pip install 'flare-rl[assets]'")

BUDGETS = [2000, 500, 125, 32]


def area_and_colour(mesh: Mesh, texture: np.ndarray) -> tuple[float, np.ndarray]:
    """Surface area, and the texture's colour averaged over it, by the corners' and centres' uvs."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    areas = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    weights = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]], float)
    uvs = np.einsum(
        "sk,fkc->fsc", weights / weights.sum(1, keepdims=True), mesh.uvs[mesh.triangles]
    )
    height, width = texture.shape[:2]
    rows = np.clip(((1 - uvs[..., 1]) * height).astype(int), 0, height - 1)
    columns = np.clip((uvs[..., 0] * width).astype(int), 0, width - 1)
    colours = texture[rows, columns].astype(float).mean(axis=1)
    return float(areas.sum()), (areas[:, None] * colours).sum(axis=0) / areas.sum()


@pytest.mark.parametrize("kind", GENERATORS)
def test_levels_shrink_keep_the_box_and_the_colours(kind: str) -> None:
    mesh, texture = GENERATORS[kind]()
    levels = make_levels(mesh, BUDGETS)
    counts = [level.mesh.num_triangles for level in levels]
    errors = [level.error for level in levels]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(counts)
    assert errors == sorted(errors)
    assert counts[-1] <= BUDGETS[-1]
    size = np.ptp(np.array(mesh.bounds()), axis=0)
    area, colour = area_and_colour(mesh, texture)
    for level in levels:
        np.testing.assert_allclose(level.mesh.bounds(), mesh.bounds(), atol=1e-4 * size.max())
        assert np.isfinite(level.mesh.uvs).all()
        assert level.error < 0.3 * np.linalg.norm(size)
    fine_enough = [level.mesh for level in levels if level.mesh.num_triangles >= 100]
    assert len(fine_enough) >= 2
    for coarse in fine_enough:
        coarse_area, coarse_colour = area_and_colour(coarse, texture)
        assert coarse_area == pytest.approx(area, rel=0.3)
        assert np.abs(coarse_colour - colour).max() < 20.0


def test_boxes_lose_nothing() -> None:
    """A chair is 6 boxes: 72 triangles say all."""
    mesh, _ = GENERATORS["Chair"]()
    assert mesh.num_triangles == 3600
    level = simplify(mesh, 130)
    assert level.mesh.num_triangles <= 130
    assert level.error < 0.005


def test_open_borders_stay_and_both_sides_too() -> None:
    steps = np.linspace(0.0, 1.0, 21)
    x, z = np.meshgrid(steps, steps, indexing="ij")
    draft = MeshDraft()
    draft.grid(np.stack([x, np.zeros_like(x), z], -1), double_sided=True)
    sheet = draft.mesh()
    level = simplify(sheet, 40)
    corners = level.mesh.vertices[level.mesh.triangles].astype(float)
    normals = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert level.mesh.num_triangles <= 40
    assert normals[normals[:, 1] > 0, 1].sum() == pytest.approx(1.0, abs=1e-5)
    assert normals[normals[:, 1] < 0, 1].sum() == pytest.approx(-1.0, abs=1e-5)
    np.testing.assert_allclose(level.mesh.uvs[:, 0], level.mesh.vertices[:, 2], atol=0.06)
    up = level.mesh.normals[level.mesh.triangles[:, 0], 1]
    np.testing.assert_array_equal(np.sign(up), np.sign(normals[:, 1]))


def test_seams_of_the_texture_do_not_smear() -> None:
    """Two halves of a strip show two corners of the texture; no triangle bridges them."""
    draft = MeshDraft()
    for at, rectangle in ((0.0, (0.0, 0.0, 0.2, 0.2)), (1.0, (0.8, 0.8, 1.0, 1.0))):
        x, y = np.meshgrid(np.linspace(at, at + 1, 15), np.linspace(0, 1, 15), indexing="ij")
        draft.grid(np.stack([x, y, 0.05 * np.sin(6 * x) * np.cos(5 * y)], -1), rectangle)
    level = simplify(draft.mesh(), 100)
    uvs = level.mesh.uvs[level.mesh.triangles]
    assert (np.ptp(uvs, axis=1) <= 0.2 + 1e-6).all()
    middle = level.mesh.vertices[level.mesh.triangles].mean(axis=1)
    away = np.abs(middle[:, 0] - 1.0) > 0.02
    np.testing.assert_array_equal(uvs[away, 0, 0] > 0.5, middle[away, 0] > 1.0)
    # The seam is closed: both sides have their vertices at the same places.
    left = {tuple(v) for v in level.mesh.vertices[level.mesh.uvs[:, 0] < 0.5].round(5).tolist()}
    right = {tuple(v) for v in level.mesh.vertices[level.mesh.uvs[:, 0] > 0.5].round(5).tolist()}
    shared = left & right
    assert len(shared) >= 2
    assert all(abs(x - 1.0) < 0.2 for x, _, _ in shared)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_vertices=st.integers(3, 60),
    num_triangles=st.integers(1, 300),
    budget=st.integers(2, 100),
)
def test_any_soup_of_triangles_comes_out_small_and_whole(
    seed: int, num_vertices: int, num_triangles: int, budget: int
) -> None:
    rng = np.random.default_rng(seed)
    mesh = Mesh(
        vertices=rng.random((num_vertices, 3), np.float32).round(1),
        normals=np.tile(np.float32([0, 1, 0]), (num_vertices, 1)),
        uvs=rng.random((num_vertices, 2), np.float32),
        triangles=rng.integers(0, num_vertices, (num_triangles, 3)).astype(np.int32),
    )
    level = simplify(mesh, budget)
    assert 0 < level.mesh.num_triangles <= max(budget, 0)
    assert level.mesh.triangles.max() < len(level.mesh.vertices)
    assert np.isfinite(level.mesh.vertices).all()
    assert level.error >= 0.0
    if level.mesh is not mesh:
        np.testing.assert_allclose(level.mesh.bounds(), mesh.bounds(), atol=1.1)
        low, high = mesh.bounds()
        assert (level.mesh.vertices >= low - 1e-5).all()
        assert (level.mesh.vertices <= high + 1e-5).all()


def test_the_error_bounds_the_distance() -> None:
    """A ball of radius 1: the corners of its levels lie on it, their faces cut it."""
    draft = MeshDraft()
    angles = np.linspace(-np.pi / 2, np.pi / 2, 33)
    draft.lathe([(float(np.cos(a)), float(np.sin(a))) for a in angles], 48)
    level = simplify(draft.mesh(), 100)
    centres = level.mesh.vertices[level.mesh.triangles].astype(float).mean(axis=1)
    depth = 1.0 - np.linalg.norm(centres, axis=1).min()
    assert 0.9 * depth < level.error < 3.0 * depth + 0.02


def test_rotation_is_clockwise_from_above() -> None:
    """Unity: yaw 90 turns ahead (+z) into right (+x)."""
    np.testing.assert_allclose(
        rotate_y(np.float32([[0, 2, 1], [1, 0, 0]]), 90.0), [[1, 2, 0], [0, 0, -1]], atol=1e-6
    )
