"""Levels of detail: a mesh decimated by quadric edge collapse (Garland and Heckbert 1997).

The collapse itself is done by the package fast-simplification on bare positions. Everything it
knows nothing of is done here: open borders are held in place by fins, faces that lie back to back
(an open surface seen from both sides) are collapsed once, and texture coordinates are carried over
by chart, so that seams of the texture do not tear.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flare.assets.mesh import Mesh
from flare.errors import UserError

_WELD = 1e-5  # of the longest side: corners nearer than this are one point
_FIN = 0.05  # of the longest side: height of a fin on an open border
_TRIES = 6  # of the collapse, until the number of triangles is right
_NEAR_ENOUGH = 0.85  # of the triangles asked for
_EXACT = 2e-3  # of the diagonal: estimates of the error above this are made exact


class Level(NamedTuple):
    """One level of detail."""

    mesh: Mesh
    error: float  # m: no vertex of the full mesh is farther from the level's surface than this


class _Soup(NamedTuple):
    """What the collapse works on: welded points, and one face of each back-to-back pair."""

    points: NDArray[np.float32]  # [P, 3]
    faces: NDArray[np.int64]  # [F, 3] indices of points, no degenerate ones
    corners: NDArray[np.int64]  # [F, 3] indices of the mesh's vertices
    is_double: NDArray[np.bool_]  # [F] the other side exists too


def simplify(mesh: Mesh, max_triangles: int) -> Level:
    """A mesh of at most ``max_triangles`` that looks like the given one.

    Args:
        mesh: any triangles; it need not be closed or connected.
        max_triangles: at least 2.

    Returns: the mesh itself if it is small enough, else a new one whose bounding box is that of the
    mesh (the vertices are stretched over it after the collapse).
    Raises: UserError if the package fast-simplification is not installed.
    """
    if mesh.num_triangles <= max_triangles:
        return Level(mesh, 0.0)
    soup = _weld(mesh)
    if len(soup.faces) == 0:
        return _largest_faces(mesh, max_triangles)
    collapsed = _collapse_to(soup, max_triangles)
    if collapsed is None:
        return _largest_faces(mesh, max_triangles)
    points, cluster = collapsed
    kept = _surviving(soup, cluster)
    points = _stretched(points, cluster[soup.faces[kept]].ravel(), mesh)
    error = _deviation(soup.points, points, soup.faces, cluster, kept)
    return Level(_assemble(mesh, soup, points, cluster, kept), error)


def _collapse_to(
    soup: _Soup, max_triangles: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Collapse until at most so many triangles are left, both sides counted; None if it fails."""
    fins = _fins(soup)
    best: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None
    target = float(max_triangles) * len(soup.faces) / _sides(soup, np.arange(len(soup.faces)))
    for _ in range(_TRIES):
        points, cluster = _collapse(soup, fins, max(2, round(target)))
        kept = _surviving(soup, cluster)
        count = _sides(soup, kept)
        if count <= max_triangles and len(kept):
            best = points, cluster
            if count >= _NEAR_ENOUGH * max_triangles:
                break
        target *= min(2.0, max(0.3, 0.95 * max_triangles / max(1, count)))
    return best


def _weld(mesh: Mesh) -> _Soup:
    vertices = mesh.vertices
    low, high = mesh.bounds()
    step = max(float((high - low).max()) * _WELD, 1e-9)
    keys = np.round((vertices - low) / step).astype(np.int64)
    _, first, point_of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = point_of.reshape(-1)[mesh.triangles]
    distinct = _is_proper(faces)
    faces, corners = faces[distinct], mesh.triangles[distinct].astype(np.int64)
    # Rotated so that the smallest index leads: equal faces agree, reversed ones end in (c, b).
    order = (np.argmin(faces, axis=1)[:, None] + np.arange(3)) % 3 if len(faces) else faces
    led = np.take_along_axis(faces, order, axis=1)
    _, once = np.unique(led, axis=0, return_index=True)
    once.sort()
    faces, corners = faces[once], corners[once]
    # Of two that lie back to back the first stays: exporters put all back sides behind the fronts.
    _, keep, count = np.unique(
        np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True
    )
    in_order = np.argsort(keep)
    keep, is_double = keep[in_order], count[in_order] == 2
    return _Soup(vertices[first], faces[keep], corners[keep], is_double)


def _fins(soup: _Soup) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points and faces that stand upright on open edges, so that collapsing keeps the border."""
    edges = np.concatenate([soup.faces[:, [0, 1]], soup.faces[:, [1, 2]], soup.faces[:, [2, 0]]])
    face = np.tile(np.arange(len(soup.faces)), 3)
    _, at, count = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    border = at[count == 1]
    corners = soup.points[soup.faces[face[border]]].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    size = float(np.ptp(soup.points, axis=0).max())
    middle = soup.points[edges[border]].mean(axis=1)
    tips = (middle + _FIN * size * normals).astype(np.float32)
    tip_ids = len(soup.points) + np.arange(len(border))
    return tips, np.column_stack([edges[border][:, ::-1], tip_ids])


def _collapse(
    soup: _Soup, fins: tuple[NDArray[np.float32], NDArray[np.int64]], target: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions [Q, 3] after the collapse, and which of them each point [P] went to."""
    tips, fin_faces = fins
    points = np.concatenate([soup.points, tips])
    faces = np.concatenate([soup.faces, fin_faces]).astype(np.int32)
    share = 1.0 + len(fin_faces) / len(soup.faces)
    if target * share >= len(faces):
        return soup.points.astype(np.float64), np.arange(len(soup.points))
    library = _library()
    _, _, collapses = library.simplify(
        points, faces, target_count=max(4, int(target * share)), return_collapses=True
    )
    out, _, cluster = library.replay_simplification(points, faces, collapses)
    return np.asarray(out, np.float64), np.asarray(cluster, np.int64)[: len(soup.points)]


def _library() -> Any:  # noqa: ANN401
    try:
        import fast_simplification
    except ImportError as error:
        raise UserError(
            "levels of detail need the package fast-simplification",
            mend="pip install 'flare-rl[assets]'",
        ) from error
    return fast_simplification


def _is_proper(faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    a, b, c = faces.T
    proper: NDArray[np.bool_] = (a != b) & (b != c) & (c != a)
    return proper


def _surviving(soup: _Soup, cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces whose corners are still three points, each triple once."""
    faces = cluster[soup.faces]
    proper = np.flatnonzero(_is_proper(faces))
    _, once = np.unique(np.sort(faces[proper], axis=1), axis=0, return_index=True)
    kept: NDArray[np.int64] = proper[np.sort(once)]
    return kept


def _sides(soup: _Soup, faces: NDArray[np.int64]) -> int:
    return int(len(faces) + soup.is_double[faces].sum())


def _assemble(
    mesh: Mesh,
    soup: _Soup,
    points: NDArray[np.float64],
    cluster: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> Mesh:
    """Put textures and normals back on the faces that are left.

    A corner is now a pair (collapsed point, chart of the texture). Its texture coordinate is that
    of the chart's vertex that was nearest to where the point came to lie.
    """
    chart = _charts(mesh)
    # Every corner of the mesh that went into the collapse offers its own coordinates.
    vertex, point = soup.corners.ravel(), soup.faces.ravel()
    group = np.column_stack([cluster[point], chart[vertex]])
    offset = mesh.vertices[vertex] - points[cluster[point]]
    distance = np.einsum("ij,ij->i", offset, offset)
    order = np.lexsort((vertex, distance, group[:, 1], group[:, 0]))
    keys, first = np.unique(group[order], axis=0, return_index=True)
    source = vertex[order][first]
    wanted = np.column_stack([cluster[soup.faces[kept]].ravel(), chart[soup.corners[kept].ravel()]])
    ids = _find_rows(keys, wanted)
    used, triangles = np.unique(ids, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    front = Mesh(
        vertices=points[keys[used, 0]].astype(np.float32),
        normals=mesh.normals[source[used]],
        uvs=mesh.uvs[source[used]],
        triangles=triangles.astype(np.int32),
    )
    return _with_back_sides(front, soup.is_double[kept])


def _with_back_sides(mesh: Mesh, is_double: NDArray[np.bool_]) -> Mesh:
    if not is_double.any():
        return mesh
    back = mesh.triangles[is_double][:, ::-1]
    used, triangles = np.unique(back, return_inverse=True)
    return Mesh(
        vertices=np.concatenate([mesh.vertices, mesh.vertices[used]]),
        normals=np.concatenate([mesh.normals, -mesh.normals[used]]),
        uvs=np.concatenate([mesh.uvs, mesh.uvs[used]]),
        triangles=np.concatenate(
            [mesh.triangles, (triangles.reshape(-1, 3) + len(mesh.vertices)).astype(np.int32)]
        ),
    )


def _charts(mesh: Mesh) -> NDArray[np.int64]:
    """For every vertex a number of the connected piece of texture it lies in."""
    rows = np.concatenate([mesh.vertices, mesh.uvs], axis=1)
    _, label = np.unique(np.round(rows, 6), axis=0, return_inverse=True)
    label = label.reshape(-1).astype(np.int64)
    faces = label[mesh.triangles]
    parent = np.arange(int(label.max()) + 1)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    while True:  # the smaller of two neighbours' names wins, until nothing changes
        low = np.minimum(parent[edges[:, 0]], parent[edges[:, 1]])
        before = parent.copy()
        np.minimum.at(parent, before[edges[:, 0]], low)
        np.minimum.at(parent, before[edges[:, 1]], low)
        parent = parent[parent]
        if np.array_equal(parent, before):
            return parent[label]


def _find_rows(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the rows ``wanted`` among the sorted unique rows ``keys``."""
    width = int(max(keys[:, 1].max(), wanted[:, 1].max())) + 1
    found: NDArray[np.int64] = np.searchsorted(
        keys[:, 0] * width + keys[:, 1], wanted[:, 0] * width + wanted[:, 1]
    )
    return found


def _stretched(
    points: NDArray[np.float64], used: NDArray[np.int64], like: Mesh
) -> NDArray[np.float64]:
    """Fit points into the bounding box of a mesh: collapsing shrinks round things a little."""
    low, high = points[used].min(axis=0), points[used].max(axis=0)
    new_low, new_high = (side.astype(np.float64) for side in like.bounds())
    extent = high - low
    scale = np.where(extent > 1e-9, (new_high - new_low) / np.maximum(extent, 1e-9), 1.0)
    fitted: NDArray[np.float64] = np.clip((points - low) * scale + new_low, new_low, new_high)
    return fitted


def _largest_faces(mesh: Mesh, count: int) -> Level:
    """Of a mesh that cannot be collapsed (loose splinters), the triangles that cover most."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    kept = np.sort(np.argsort(-areas, kind="stable")[:count])
    used, triangles = np.unique(mesh.triangles[kept], return_inverse=True)
    points = _stretched(mesh.vertices.astype(np.float64), used.astype(np.int64), mesh)
    few = Mesh(
        vertices=points[used].astype(np.float32),
        normals=mesh.normals[used],
        uvs=mesh.uvs[used],
        triangles=triangles.reshape(-1, 3).astype(np.int32),
    )
    low, high = mesh.bounds()
    return Level(few, float(np.linalg.norm(high - low)))


def _deviation(
    fine: NDArray[np.float32],
    points: NDArray[np.float64],
    faces: NDArray[np.int64],
    cluster: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> float:
    """How far the points [P, 3] of the full mesh lie from the level's surface at most, in metres.

    A point is compared first with the faces round the collapsed points that it or a neighbour went
    to, which gives an upper bound; where that is large, with all faces that could be nearer.
    """
    left = cluster[faces[kept]]  # [K, 3]
    order = np.argsort(left.ravel(), kind="stable")
    face_of = order // 3
    count = np.bincount(left.ravel(), minlength=len(points))
    begin = np.cumsum(count) - count
    pairs = [faces[:, i] * len(points) + cluster[faces[:, j]] for i in range(3) for j in range(3)]
    near = np.stack(np.divmod(np.unique(np.concatenate(pairs)), len(points)), axis=1)
    repeat = count[near[:, 1]]
    point = np.repeat(near[:, 0], repeat)
    within = np.arange(len(point)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    face = face_of[np.repeat(begin[near[:, 1]], repeat) + within]
    distance = np.full(len(fine), np.inf)
    corners = points[left[face]]
    np.minimum.at(distance, point, _to_triangles(fine[point].astype(np.float64), corners))
    used = np.unique(faces)
    low, high = fine[used].min(axis=0), fine[used].max(axis=0)
    diagonal = float(np.linalg.norm(high - low))
    unsure = used[distance[used] > _EXACT * diagonal]
    distance[unsure] = _exactly(
        fine[unsure].astype(np.float64), points[left], np.minimum(distance[unsure], diagonal)
    )
    return float(distance[used].max())


def _exactly(
    point: NDArray[np.float64], corners: NDArray[np.float64], at_most: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance [N] of points [N, 3] to the nearest of the triangles [K, 3, 3].

    Only triangles whose bounding sphere comes nearer than ``at_most`` [N] are looked at.
    """
    middle = corners.mean(axis=1)
    radius = np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
    distance: NDArray[np.float64] = at_most.copy()
    for chunk in np.array_split(np.arange(len(point)), 1 + len(point) * len(corners) // 2_000_000):
        squared = (
            (point[chunk] ** 2).sum(axis=1)[:, None]
            + (middle**2).sum(axis=1)
            - 2.0 * point[chunk] @ middle.T
        )
        to_sphere = np.sqrt(np.maximum(squared, 0.0)) - radius
        which, face = np.nonzero(to_sphere < at_most[chunk][:, None] + 1e-6)
        np.minimum.at(distance, chunk[which], _to_triangles(point[chunk[which]], corners[face]))
    return distance


def _dot(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    product: NDArray[np.float64] = np.einsum("ij,ij->i", u, v)
    return product


def _to_triangles(point: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance [N] of each point [N, 3] to its triangle [N, 3, 3]."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11, d20, d21 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac), _dot(ap, ab), _dot(ap, ac)
    denominator = d00 * d11 - d01 * d01
    safe = np.where(denominator > 1e-30, denominator, 1.0)
    v = (d11 * d20 - d01 * d21) / safe
    w = (d00 * d21 - d01 * d20) / safe
    inside = (denominator > 1e-30) & (v >= 0.0) & (w >= 0.0) & (v + w <= 1.0)
    off_plane = ap - v[:, None] * ab - w[:, None] * ac
    best = np.where(inside, _dot(off_plane, off_plane), np.inf)
    for start, edge in ((a, ab), (a, ac), (b, c - b)):
        along = _dot(point - start, edge) / np.maximum(_dot(edge, edge), 1e-30)
        gap = point - start - np.clip(along, 0.0, 1.0)[:, None] * edge
        best = np.minimum(best, _dot(gap, gap))
    return np.sqrt(best)
