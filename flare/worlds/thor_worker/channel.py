"""The shared memory between a trainer and its workers: one box each, and words to sleep on.

A request is written into a worker's box, then its ``seq`` is raised, then the word ``sent`` changes
and all workers are woken; one that finds ``seq`` ahead of ``done`` serves it, writes its reply,
sets ``done`` and the word ``finished``, and wakes the trainer. Every field has one writer; the
system call of the wake orders what was written before it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import mmap
import os
import platform
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_TARGETS = 16
MAX_MOVED = 32
MAX_HISTORY = 2048  # actions of an episode that a saved state can hold
MESSAGE_BYTES = 1024

# Commands of the trainer.
LOAD, PRESENT, STEP, CLOSE = 1, 2, 3, 4
# What became of a request.
OK, FAILED = 1, 2

REPORT_DTYPE = np.dtype(
    [
        ("x", "<f4"),
        ("z", "<f4"),
        ("yaw_deg", "<f4"),
        ("arm", [("lift", "<f4"), ("extension", "<f4"), ("wrist_yaw_deg", "<f4")]),
        ("hand", "<f4", (3,)),
        ("held", "<i4"),
        ("num_moved", "<i4"),
        ("seen", "<u2"),
        ("manip_seen", "<u2"),
        ("in_reach", "<u2"),
        ("collided", "u1"),
        ("unused", "u1"),
        (
            "moved",
            [
                ("object", "<i4"),
                ("center", [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]),
                ("yaw_deg", "<f4"),
            ],
            (MAX_MOVED,),
        ),
    ]
)
"""What an action did, as csrc/sim/world.hpp declares it (sim::Report)."""

BOX_DTYPE = np.dtype(
    [
        # Written by the trainer.
        ("seq", "<u4"),
        ("command", "<u4"),
        ("action", "<i4"),
        ("draw", "<u4"),  # 0: nobody looks at the frames
        ("memory", "<i4"),  # row of the memories that frames go to
        ("house", "<i4"),
        ("offset", "<u8"),  # bytes into that memory
        ("x", "<f8"),
        ("z", "<f8"),
        ("yaw_deg", "<f8"),
        ("pitch_deg", "<f8", (2,)),
        ("fov_deg", "<f8", (2,)),
        ("material_seed", "<u8"),
        ("light_seed", "<u8"),
        ("counts_manipulation", "<u4"),  # facts need what the manipulation camera sees
        ("num_targets", "<i4"),
        ("targets", "<i4", (MAX_TARGETS,)),
        ("num_history", "<i4"),  # actions to execute after the start, of a restored episode
        ("history", "u1", (MAX_HISTORY,)),
        # Written by the worker.
        ("done", "<u4"),
        ("status", "<u4"),
        ("is_started", "<u4"),
        ("simulator_pid", "<i4"),
        ("message", "S%d" % MESSAGE_BYTES),  # noqa: UP031 - Python 3.8 of other environments
        ("report", REPORT_DTYPE),
    ],
    align=True,
)

MEMORY_DTYPE = np.dtype([("fd", "<i4"), ("generation", "<u4"), ("size", "<u8")])
MAX_MEMORIES = 8
_WORDS = 64  # bytes of a cache line each: sent, finished
_HEADER_BYTES = 2 * _WORDS + MAX_MEMORIES * MEMORY_DTYPE.itemsize


class Channel:
    """A view of the shared memory; the same on both sides."""

    def __init__(self, fd: int, num_workers: int) -> None:
        self._map = mmap.mmap(fd, channel_bytes(num_workers))
        raw = np.frombuffer(self._map, np.uint8)
        self.sent = raw[:4].view("<u4")
        self.finished = raw[_WORDS : _WORDS + 4].view("<u4")
        self.memories = raw[2 * _WORDS : _HEADER_BYTES].view(MEMORY_DTYPE)
        self.boxes = raw[_HEADER_BYTES:].view(BOX_DTYPE)

    def announce(self) -> None:
        """Tell the workers that requests were written."""
        self.sent[0] += 1
        futex_wake(self.sent)

    def finish(self, worker: int) -> None:
        """Tell the trainer that this worker's request is served."""
        box = self.boxes[worker]
        done = int(box["done"]) + 1 & 0xFFFFFFFF
        box["done"] = done
        # Unlike any value that another worker writes, so that no wake is lost between two of them.
        self.finished[0] = (worker & 0xFFF) << 20 | done & 0xFFFFF
        futex_wake(self.finished)


def channel_bytes(num_workers: int) -> int:
    """Size of the memory."""
    return _HEADER_BYTES + num_workers * BOX_DTYPE.itemsize


_FUTEX_CALLS = {"x86_64": 202, "aarch64": 98}
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_ALL = 2**31 - 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _futex(word: NDArray[Any], operation: int, value: int, timeout: float | None = None) -> None:
    call = _FUTEX_CALLS[platform.machine()]
    limit = None
    if timeout is not None:
        limit = ctypes.byref(_Timespec(int(timeout), int(timeout % 1 * 1e9)))
    address = ctypes.c_void_p(word.ctypes.data)
    _libc.syscall(ctypes.c_long(call), address, operation, ctypes.c_uint32(value), limit, None, 0)


def futex_wake(word: NDArray[Any]) -> None:
    """Wake every process that sleeps on a word of shared memory."""
    _futex(word, _FUTEX_WAKE, _ALL)


def futex_wait(word: NDArray[Any], expected: int, timeout: float) -> None:
    """Sleep while a word holds ``expected``, at most ``timeout`` seconds; may return early."""
    _futex(word, _FUTEX_WAIT, expected, timeout)


def wait_request(channel: Channel, worker: int, parent: int) -> None:
    """Sleep until there is a request for this worker.

    Raises:
        SystemExit: the trainer is gone.
    """
    box = channel.boxes[worker]
    while True:
        seen = int(channel.sent[0])
        if int(box["seq"]) != int(box["done"]):
            return
        futex_wait(channel.sent, seen, 0.5)
        if os.getppid() != parent:
            raise SystemExit(0)


def monotonic() -> float:
    """Seconds of a clock that only goes forward."""
    return time.monotonic()
