import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flare.houses.space import CELL, Grid, Rect, lowest

sizes = st.integers(1, 12)


@st.composite
def masks(draw):
    rows, columns = draw(sizes), draw(sizes)
    bits = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return np.array(bits).reshape(rows, columns)


def as_mask(grid, cells):
    mask = np.zeros((grid.rows, grid.columns), np.bool_)
    for x, z in grid.centers(cells):
        mask[int(z / CELL), int(x / CELL)] = True
    return mask


def plain_flood(mask, start):
    """The textbook search from cell to cell."""
    reached, waiting = set(), [start]
    while waiting:
        row, column = waiting.pop()
        inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
        if not inside or (row, column) in reached or not mask[row, column]:
            continue
        reached.add((row, column))
        waiting += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return reached


@given(masks())
def test_cells_and_centers_are_inverse(mask):
    grid = Grid(*mask.shape)
    assert np.array_equal(as_mask(grid, grid.cells(mask)), mask)


@given(masks())
def test_flood_agrees_with_a_plain_search(mask):
    grid = Grid(*mask.shape)
    free = grid.cells(mask)
    reached = grid.flood(lowest(free), free)
    if not free:
        assert reached == 0
        return
    x, z = grid.center(lowest(free))
    expected = plain_flood(mask, (int(z / CELL), int(x / CELL)))
    assert {tuple(cell) for cell in np.argwhere(as_mask(grid, reached))} == expected


@given(masks(), st.tuples(*[st.floats(-0.5, 2.0) for _ in range(4)]))
def test_under_sets_the_cells_that_share_area(mask, sides):
    x0, x1 = sorted(sides[:2])
    z0, z1 = sorted(sides[2:])
    rect = Rect(x0, z0, x1, z1)
    grid = Grid(*mask.shape)
    touched = as_mask(grid, grid.under(rect))
    for row in range(grid.rows):
        for column in range(grid.columns):
            cell = Rect(column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL)
            if cell.grown(-1e-4).overlaps(rect.grown(-1e-4)):
                assert touched[row, column]
            elif not cell.grown(1e-4).overlaps(rect.grown(1e-4)):
                assert not touched[row, column]


def test_rectangles_by_hand():
    grid = Grid(8, 8)  # one metre
    assert grid.under(Rect(0.0, 0.0, 0.125, 0.125)) == 1
    assert grid.under(Rect(0.125, 0.0, 0.375, 0.125)) == 0b110
    assert grid.under(Rect(0.0, 0.125, 0.125, 0.25)) == 1 << grid.stride
    assert grid.holds(Rect(0.0, 0.0, 1.0, 1.0))
    assert not grid.holds(Rect(0.0, 0.0, 1.01, 1.0))
    assert Rect.between((1.0, 0.0), (0.0, 2.0)) == Rect(0.0, 0.0, 1.0, 2.0)
