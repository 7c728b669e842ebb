"""Where the time of an iteration goes: a tree of named blocks, on the CPU's or the GPU's clock."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SEPARATOR = "/"


class Timer:
    """Adds up seconds by nested name: ``with timer("update"): with timer("forward"): …``.

    Names of nested blocks are joined, ``update/forward``. A block costs about a microsecond. With
    ``device="cuda"`` each block is timed between two events of the current stream, so it measures
    the GPU's work and never waits for it; the events are read when the totals are. Not thread-safe.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._on_gpu = device.startswith("cuda")
        self._path: list[str] = []
        self._seconds: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._pending: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._start = time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block under ``name``, below the block that is open now."""
        self._path.append(name)
        key = SEPARATOR.join(self._path)
        # Registered at the start, so that parents come before children in every listing.
        self._seconds.setdefault(key, 0.0)
        begin_event = self._event() if self._on_gpu else None
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._counts[key] = self._counts.get(key, 0) + 1
            if begin_event is None:
                self._seconds[key] += time.perf_counter() - begin
            else:
                self._pending.append((key, begin_event, self._event()))
            self._path.pop()

    def add(self, name: str, seconds: float) -> None:
        """Count ``seconds`` that were measured elsewhere (in C++, in a worker)."""
        key = SEPARATOR.join([*self._path, name])
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds
        self._counts[key] = self._counts.get(key, 0) + 1

    def reset(self) -> None:
        """Start a new iteration; call it outside any block."""
        if self._path:
            raise RuntimeError(f"reset inside the block {SEPARATOR.join(self._path)}")
        self._seconds.clear()
        self._counts.clear()
        self._pending.clear()
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of wall clock since the last reset."""
        return time.perf_counter() - self._start

    def seconds(self) -> dict[str, float]:
        """Seconds of each block since the last reset, by full name, in order of first use."""
        self._read_events()
        return dict(self._seconds)

    def counts(self) -> dict[str, int]:
        """How often each block ran since the last reset."""
        return dict(self._counts)

    def split(self) -> dict[str, float]:
        """Each outermost block's share of their sum; the shares add up to 1 (none: empty)."""
        outer = {key: value for key, value in self.seconds().items() if SEPARATOR not in key}
        total = sum(outer.values())
        return {key: value / total for key, value in outer.items()} if total > 0 else {}

    def tree(self) -> str:
        """The tree for the eye: indented names, seconds, share of the parent, calls."""
        seconds = self.seconds()
        lines = []
        for key, value in seconds.items():
            parent, _, name = key.rpartition(SEPARATOR)
            whole = seconds.get(parent, 0.0) if parent else self.elapsed
            share = value / whole if whole > 0 else 0.0
            indent = "  " * key.count(SEPARATOR)
            calls = self._counts.get(key, 0)
            lines.append(f"{indent + name:<32} {value:9.3f} s {share:6.1%} {calls:7d}×")
        return "\n".join(lines)

    def _event(self) -> "torch.cuda.Event":
        import torch  # the timer of a CPU run does not need it

        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _read_events(self) -> None:
        for key, begin, end in self._pending:
            end.synchronize()
            self._seconds[key] += begin.elapsed_time(end) / 1000.0
        self._pending.clear()
