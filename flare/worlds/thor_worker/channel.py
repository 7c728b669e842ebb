"""The shared memory between a trainer and its workers: a box, a report and two words each.

A request is written into a worker's box, then its word ``requested`` is raised and the worker
woken; it serves the request, writes its reply, sets ``served`` to the same number and wakes the
trainer. Every field has one writer; the system call of the wake orders what was written before it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
from functools import lru_cache

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
_REPORT_HEAD = struct.Struct("<9f2i3H2B")  # all before "moved", written at once

BOX_DTYPE = np.dtype(
    [
        # Written by the trainer; those up to the offset at once.
        ("command", "<u4"),
        ("action", "<i4"),
        ("draw", "<u4"),  # 0: nobody looks at the frames
        ("memory", "<i4"),  # row of the memories that frames go to
        ("offset", "<u8"),  # bytes into that memory
        ("house", "<i4"),
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
        ("status", "<u4"),
        ("is_started", "<u4"),
        ("simulator_pid", "<i4"),
        ("message", "S%d" % MESSAGE_BYTES),  # noqa: UP031 - Python 3.8 of other environments
    ],
    align=True,
)
_REQUEST = struct.Struct("<IiIiQ")  # the box's fields from command to offset

MEMORY_DTYPE = np.dtype([("fd", "<i4"), ("generation", "<u4"), ("size", "<u8")])
MAX_MEMORIES = 8
_PARENT_PERIOD = 0.5  # s between looks for the trainer
_LINE = 64  # bytes of a cache line; each word has one of its own
_HEADER_BYTES = _LINE + MAX_MEMORIES * MEMORY_DTYPE.itemsize
_PER_WORKER = 2 * _LINE + REPORT_DTYPE.itemsize + BOX_DTYPE.itemsize


class Channel:
    """A view of the shared memory; the same on both sides."""

    def __init__(self, fd: int, num_workers: int) -> None:
        self._map = mmap.mmap(fd, channel_bytes(num_workers))
        raw = np.frombuffer(self._map, np.uint8)
        words = [Word(raw[_LINE * i :][:4]) for i in range(1 + 2 * num_workers)]
        self.news, self.requested, self.served = words[0], words[1::2], words[2::2]
        parts = np.cumsum(
            [
                len(words) * _LINE,
                MAX_MEMORIES * MEMORY_DTYPE.itemsize,
                num_workers * BOX_DTYPE.itemsize,
                num_workers * REPORT_DTYPE.itemsize,
            ]
        )
        _, memories, boxes, reports, _ = np.split(raw, parts)
        self.memories = memories.view(MEMORY_DTYPE)
        self.boxes = boxes.view(BOX_DTYPE)
        self.reports = reports.view(REPORT_DTYPE)
        self._box_bytes = boxes.data

    def is_busy(self, worker: int) -> bool:
        """Whether a worker's request is not served yet."""
        return self.requested[worker].get() != self.served[worker].get()

    def write_step(
        self, worker: int, command: int, action: int, draw: bool, memory: int, offset: int
    ) -> None:
        """Fill in what a step or a look needs to know."""
        start = worker * BOX_DTYPE.itemsize
        _REQUEST.pack_into(self._box_bytes, start, command, action, draw, memory, offset)

    def read_step(self, worker: int) -> tuple[int, ...]:
        """What ``write_step`` wrote after the worker's number."""
        return _REQUEST.unpack_from(self._box_bytes, worker * BOX_DTYPE.itemsize)

    def request(self, worker: int) -> None:
        """Wake a worker to do what its box says."""
        word = self.requested[worker]
        word.set(word.get() + 1 & 0xFFFFFFFF)
        word.wake()

    def finish(self, worker: int, *, is_news: bool) -> None:
        """Tell the trainer that this worker's request is served.

        Args:
            worker: whose.
            is_news: whether it may be waiting for any worker, not for this one.
        """
        done = self.requested[worker].get()
        self.served[worker].set(done)
        if is_news:
            # Unlike what another worker writes, so that no wake is lost between two of them.
            self.news.set((worker & 0xFFF) << 20 | done & 0xFFFFF)
            self.news.wake()
        else:
            self.served[worker].wake()


def channel_bytes(num_workers: int) -> int:
    """Size of the memory."""
    return _HEADER_BYTES + num_workers * _PER_WORKER


class ReportRow:
    """One worker's report, written in place."""

    def __init__(self, row: NDArray[np.void]) -> None:
        """row: [1] of ``REPORT_DTYPE``."""
        self._bytes = row.view(np.uint8).data
        self.moved = row["moved"][0]
        """[MAX_MOVED] of which ``write``'s ``num_moved`` count."""

    def write(
        self,
        pose: tuple[float, float, float],
        arm: tuple[float, float, float],
        hand: tuple[float, float, float],
        held: int,
        num_moved: int,
        seen: tuple[int, int, int],
        collided: bool,
    ) -> None:
        """All but ``moved``.

        Args:
            pose: x, z m, yaw degrees.
            arm: lift, extension m, wrist yaw degrees.
            hand: x, y, z m.
            held: object in the hand, -1 for none.
            num_moved: of ``moved``; -1 where nothing has moved since the last report.
            seen: bits of targets seen by each camera and in reach.
            collided: whether the motion was blocked.
        """
        numbers = (*pose, *arm, *hand, held, num_moved, *seen, collided, 0)
        _REPORT_HEAD.pack_into(self._bytes, 0, *numbers)


_FUTEX_CALLS = {"x86_64": 202, "aarch64": 98}
_FUTEX = _FUTEX_CALLS.get(platform.machine(), -1)
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_ALL = 2**31 - 1


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = [
    ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32,
    ctypes.POINTER(_Timespec), ctypes.c_void_p, ctypes.c_int,
]  # fmt: skip


@lru_cache(maxsize=8)
def _timespec(seconds: float) -> _Timespec:
    return _Timespec(int(seconds), int(seconds % 1 * 1e9))


class Word:
    """A 32-bit word of shared memory that processes can sleep on."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        """memory: [4], aligned."""
        self._view = memory.data.cast("I")
        self._address = memory.ctypes.data

    def get(self) -> int:
        """What it holds."""
        return self._view[0]

    def set(self, value: int) -> None:
        """Write it; the caller is its only writer."""
        self._view[0] = value

    def wake(self) -> None:
        """Wake every process that sleeps on it."""
        _syscall(_FUTEX, self._address, _FUTEX_WAKE, _ALL, None, None, 0)

    def wait(self, expected: int, timeout: float) -> None:
        """Sleep while it holds ``expected``, at most ``timeout`` seconds; may return early."""
        _syscall(_FUTEX, self._address, _FUTEX_WAIT, expected, _timespec(timeout), None, 0)


def wait_request(channel: Channel, worker: int, parent: int) -> None:
    """Sleep until there is a request for this worker.

    Raises:
        SystemExit: the trainer is gone.
    """
    requested = channel.requested[worker]
    while not channel.is_busy(worker):
        requested.wait(channel.served[worker].get(), _PARENT_PERIOD)
        if os.getppid() != parent:
            raise SystemExit(0)
