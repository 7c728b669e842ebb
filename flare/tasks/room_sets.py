"""Sets of rooms as facts hold them: bit r of a 64-bit word is room r."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.tasks.scene import MAX_ROOMS


def count_rooms(rooms: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Size of each set, [...]."""
    octets = np.ascontiguousarray(rooms)[..., None].view(np.uint8)
    count: NDArray[np.int64] = np.unpackbits(octets, axis=-1).sum(-1, dtype=np.int64)
    return count


def room_bit(room: NDArray[Any]) -> NDArray[np.uint64]:
    """The set of one room, [...] index; the empty set for -1 and for rooms beyond MAX_ROOMS."""
    known = (room >= 0) & (room < MAX_ROOMS)
    bit: NDArray[np.uint64] = np.uint64(1) << np.where(known, room, 0).astype(np.uint64)
    return np.where(known, bit, np.uint64(0))


def contains_room(rooms: NDArray[np.uint64], room: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each set, [...], holds the room of that index, [...]."""
    inside: NDArray[np.bool_] = (rooms & room_bit(room)) != 0
    return inside
