"""Free floor as the bits of one Python integer, so that a test or a flood is a few big steps.

Cells are squares of ``CELL`` metres; cell (0, 0) has its lower corner at the origin. Rows follow
one another along z with a spare bit between them that is never set, so that shifting by one cannot
run from the end of a row into the next.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL = 0.125  # m


class Rect(NamedTuple):
    """An axis-aligned rectangle on the floor, metres."""

    x0: float
    z0: float
    x1: float
    z1: float

    @classmethod
    def between(cls, a: tuple[float, float], b: tuple[float, float]) -> "Rect":
        """Span two points (x, z)."""
        return cls(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))

    def grown(self, margin: float) -> "Rect":
        """Move every side outwards by ``margin``."""
        return Rect(self.x0 - margin, self.z0 - margin, self.x1 + margin, self.z1 + margin)

    def overlaps(self, other: "Rect") -> bool:
        """Tell whether the two share some area."""
        return (
            self.x0 < other.x1 and other.x0 < self.x1 and self.z0 < other.z1 and other.z0 < self.z1
        )


class Grid:
    """Size of a floor in cells, and how its cells lie in the bits."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns
        self.stride = columns + 1
        self._first_column = sum(1 << (row * self.stride) for row in range(rows))

    def cells(self, mask: NDArray[np.bool_]) -> int:
        """Turn a [rows along z, columns along x] array into bits."""
        spaced = np.zeros((self.rows, self.stride), np.bool_)
        spaced[:, : self.columns] = mask
        return int.from_bytes(np.packbits(spaced, bitorder="little").tobytes(), "little")

    def under(self, rect: Rect) -> int:
        """Set the bits of all cells of the grid that share area with a rectangle."""
        tiny = 1e-6
        x0 = max(math.floor((rect.x0 + tiny) / CELL), 0)
        x1 = min(math.ceil((rect.x1 - tiny) / CELL), self.columns)
        z0 = max(math.floor((rect.z0 + tiny) / CELL), 0)
        z1 = min(math.ceil((rect.z1 - tiny) / CELL), self.rows)
        if x0 >= x1 or z0 >= z1:
            return 0
        column = self._first_column & ((1 << ((z1 - z0) * self.stride)) - 1)
        return (((1 << (x1 - x0)) - 1) * column) << (z0 * self.stride + x0)

    def holds(self, rect: Rect) -> bool:
        """Tell whether a rectangle lies within the grid."""
        return (
            rect.x0 >= 0.0
            and rect.z0 >= 0.0
            and rect.x1 <= self.columns * CELL
            and rect.z1 <= self.rows * CELL
        )

    def flood(self, seeds: int, free: int) -> int:
        """Set every free cell that the seeds reach by steps to the four neighbours."""
        stride = self.stride
        reached = seeds & free
        while True:
            spread = reached | reached << 1 | reached >> 1 | reached << stride | reached >> stride
            spread &= free
            if spread == reached:
                return reached
            reached = spread

    def is_joined(self, cells: int) -> bool:
        """Tell whether steps to the four neighbours lead from each set cell to every other."""
        cells >>= (lowest(cells).bit_length() - 1) // self.stride * self.stride  # short numbers
        return self.flood(lowest(cells), cells) == cells

    def center(self, cell: int) -> tuple[float, float]:
        """Middle (x, z) of the cell with one set bit."""
        row, column = divmod(cell.bit_length() - 1, self.stride)
        return ((column + 0.5) * CELL, (row + 0.5) * CELL)

    def centers(self, cells: int) -> list[tuple[float, float]]:
        """Middles (x, z) of all set cells, row by row."""
        every = np.frombuffer(
            cells.to_bytes((self.rows * self.stride + 7) // 8, "little"), np.uint8
        )
        places = np.flatnonzero(np.unpackbits(every, bitorder="little"))
        return [
            ((place % self.stride + 0.5) * CELL, (place // self.stride + 0.5) * CELL)
            for place in places.tolist()
        ]


def lowest(cells: int) -> int:
    """Keep the first set cell only."""
    return cells & -cells
