"""Shaping rewards: what the original's shapers pay, and the memory that they need.

Tasks are stateless over facts, and shaping is not: it pays for the best distance *so far*, for the
first touch, for places not visited before. That memory is one ``ShapingMemory`` of N worlds, owned
by whoever steps the worlds (the collector keeps it in its state); the tasks' ``shape`` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.tasks.room_sets import room_bit

GRID_SIZE = 0.15  # m, the original's grid of places for RoomVisit's coverage
_SIDE = 256  # places; a house larger than 38 m wraps around and pays its far side once


@dataclass(slots=True)
class ShapingMemory:
    """What shaping remembers of the running episodes of N worlds; one row a world."""

    best: NDArray[np.float64]  # [N] m, the smallest distance so far
    touched: NDArray[np.bool_]  # [N] a target has been in reach of the hand
    held: NDArray[np.bool_]  # [N] a target has been held
    rooms: NDArray[np.uint64]  # [N] bit r: room r has been paid
    places: NDArray[np.uint8]  # [N, _SIDE * _SIDE / 8] bits of the places that have been paid
    grid_size: float = GRID_SIZE

    @classmethod
    def create(cls, num_envs: int, grid_size: float = GRID_SIZE) -> ShapingMemory:
        """Memory of N worlds without episodes."""
        return cls(
            best=np.zeros(num_envs),
            touched=np.zeros(num_envs, np.bool_),
            held=np.zeros(num_envs, np.bool_),
            rooms=np.zeros(num_envs, np.uint64),
            places=np.zeros((num_envs, _SIDE * _SIDE // 8), np.uint8),
            grid_size=grid_size,
        )

    def begin(self, rows: NDArray[np.int64], distance: NDArray[np.float64]) -> None:
        """Episodes begin in these rows, at these distances ([n] m)."""
        self.best[rows] = distance
        self.touched[rows] = False
        self.held[rows] = False
        self.rooms[rows] = 0
        self.places[rows] = 0

    def progress(
        self, rows: NDArray[np.int64], distance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Metres by which the best distance so far shrinks, at least 0.

        The original's rule, for its -1 of an unreachable target too: that counts as near, and
        nothing is nearer afterwards.
        """
        gained: NDArray[np.float64] = np.maximum(self.best[rows] - distance, 0.0)
        self.best[rows] = np.minimum(self.best[rows], distance)
        return gained

    def first_touch(self, rows: NDArray[np.int64], now: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where a target is in the hand's reach for the first time."""
        first = now & ~self.touched[rows]
        self.touched[rows] |= now
        return first

    def first_hold(self, rows: NDArray[np.int64], now: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where a target is held for the first time."""
        first = now & ~self.held[rows]
        self.held[rows] |= now
        return first

    def first_entry(self, rows: NDArray[np.int64], room: NDArray[Any]) -> NDArray[np.bool_]:
        """Where a room, [n] index or -1, is entered for the first time; the start's counts."""
        bit = room_bit(room)
        first: NDArray[np.bool_] = (bit & ~self.rooms[rows]) != 0
        self.rooms[rows] |= bit
        return first

    def first_visit(
        self, rows: NDArray[np.int64], x: NDArray[Any], z: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Where a place of the grid is visited for the first time; x, z are [n] m."""
        columns, lines = (np.rint(v / self.grid_size).astype(np.int64) % _SIDE for v in (x, z))
        place = lines * _SIDE + columns
        byte, bit = place >> 3, np.uint8(1) << (place & 7).astype(np.uint8)
        first: NDArray[np.bool_] = (self.places[rows, byte] & bit) == 0
        self.places[rows, byte] |= bit
        return first

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of the arrays, by name."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grid_size"}
        return {name: array.copy() for name, array in arrays.items()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Copy in what state_dict() gave."""
        for name, array in state.items():
            getattr(self, name)[:] = array
