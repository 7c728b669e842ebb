"""Memory that the trainer shares with its workers: boxes, house documents, and frames."""

import json
import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.rollout.buffers import SharedPlace, find_shared
from flare.worlds.embedded import House
from flare.worlds.thor_worker.channel import MAX_MEMORIES, Channel, channel_bytes

OWN = 0  # row of FrameMemory's own memory


class Memory:
    """Anonymous shared memory of this process."""

    def __init__(self, name: str, num_bytes: int) -> None:
        self.fd = os.memfd_create(name)
        os.ftruncate(self.fd, num_bytes)
        os.set_inheritable(self.fd, True)
        self.num_bytes = num_bytes

    def close(self) -> None:
        """Forget the descriptor; mappings stay as long as they are used."""
        os.close(self.fd)


def make_channel(num_workers: int) -> tuple[Memory, Channel]:
    """Boxes for workers."""
    memory = Memory("flare-thor-boxes", channel_bytes(num_workers))
    return memory, Channel(memory.fd, num_workers)


def write_houses(houses: Sequence[House], items: Sequence[tuple[str, str]]) -> Memory:
    """House documents with what the core calls their objects, for workers to read one by one.

    Args:
        houses: as the core loaded them.
        items: source and text of the same houses.
    """
    entries = []
    for house, (_, text) in zip(houses, items, strict=True):
        objects = house.objects()
        names = json.dumps(
            {
                "objects": [item["id"] for item in objects],
                "centers": [item["center"] for item in objects],
                "pickupable": [i for i, item in enumerate(objects) if item["pickupable"]],
            }
        )
        entries.append(f'{names[:-1]}, "house": {text}}}'.encode())
    sizes = np.array([len(entry) for entry in entries], np.uint64)
    table = np.zeros((len(entries), 2), np.uint64)
    table[:, 1] = sizes
    table[:, 0] = table.nbytes + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    memory = Memory("flare-thor-houses", int(table.nbytes + sizes.sum()))
    with mmap.mmap(memory.fd, memory.num_bytes) as mapped:
        mapped.write(table.tobytes())
        for entry in entries:
            mapped.write(entry)
    return memory


class FrameMemory:
    """Tells workers where frames go: into a rollout buffer, else into memory of our own."""

    def __init__(self, channel: Channel, num_envs: int, frame_shape: tuple[int, ...]) -> None:
        self._table = channel.memories
        self._frame_bytes = int(np.prod(frame_shape))
        shape = (num_envs, *frame_shape)
        self._own = Memory("flare-thor-frames", max(1, num_envs * self._frame_bytes))
        mapped = mmap.mmap(self._own.fd, self._own.num_bytes)
        self._staging = np.frombuffer(mapped, np.uint8).reshape(shape)
        self._rows: dict[int, int] = {}  # of a buffer's token
        # The buffer of the last call: what its frames are views of, its address, its row.
        self._last: tuple[Any, int, int] = (None, 0, OWN)
        self._write(OWN, self._own.fd, self._own.num_bytes)

    def _write(self, row: int, fd: int, num_bytes: int) -> None:
        entry = self._table[row]
        entry["fd"], entry["size"] = fd, num_bytes
        entry["generation"] += 1

    def place(self, frames: NDArray[np.uint8], envs: Sequence[int]) -> tuple[int, list[int]]:
        """Row of the memory, 0 for our own, and byte offset of each env's frames."""
        base, address, row = self._last
        if base is None or frames.base is not base:
            place = find_shared(frames)
            if place is None:
                return OWN, [env * self._frame_bytes for env in envs]
            address = frames.ctypes.data - place.offset
            row = self._row_of(place)
            self._last = (frames.base, address, row)
        start = frames.__array_interface__["data"][0] - address
        return row, [start + env * self._frame_bytes for env in envs]

    def _row_of(self, place: SharedPlace) -> int:
        if place.token not in self._rows:
            if len(self._rows) == MAX_MEMORIES - 1:
                self._rows.clear()
            self._rows[place.token] = row = 1 + len(self._rows)
            self._write(row, place.fd, place.num_bytes)
        return self._rows[place.token]

    def collect(self, frames: NDArray[np.uint8], envs: NDArray[np.integer[Any]]) -> None:
        """Copy what was written into our own memory to where the caller wants it."""
        frames[envs] = self._staging[envs]

    def close(self) -> None:
        """Free what is ours."""
        self._own.close()
