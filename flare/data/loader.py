"""Batches of windows, read ahead by threads, in an order that (seed, epoch, index) decide.

Threads, not processes: FFmpeg and the conversion of colours run without the GIL, and a batch of
the published frames, near a gigabyte, is not sent anywhere.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from flare.data.layout import MIXTURES, TASK_TYPES
from flare.data.windows import (
    Interleaving,
    Sample,
    Window,
    WindowBatch,
    WindowConfig,
    find_samples,
    read_window,
)
from flare.errors import UserError, require
from flare.rng import keyed_bits

_BROKEN = (OSError, KeyError, ValueError, TypeError, RuntimeError, av.FFmpegError)
_ORDER = 32  # + set: which random number of a key orders the samples of an epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoresConfig:
    """Which published trajectories are read, and how."""

    # Task folders to read, with their weights; empty: every task of the data folder alike.
    mixture: dict[str, float] = field(default_factory=dict)
    preset: str = ""  # "CHORES" or "CHORESNAV": the original's mixtures
    split: str = "train"
    max_samples: int | None = None  # episodes of each task
    # Height and width that videos must have, px, as the original's 224 384; None: any.
    stored_size: tuple[int, int] | None = None
    num_workers: int = 4  # threads that read windows
    prefetch: int = 2  # batches read ahead
    max_bad_share: float = 0.01  # of all episodes; more that cannot be read end the run
    window: WindowConfig = field(default_factory=WindowConfig)

    def __post_init__(self) -> None:
        require(self.preset in ("", *MIXTURES), "data.preset", self.preset,
                f"choose among {', '.join(MIXTURES)}")  # fmt: skip
        for name in ("num_workers", "prefetch"):
            require(getattr(self, name) >= 1, f"data.{name}", getattr(self, name), "use 1 or more")
        require(0.0 <= self.max_bad_share <= 1.0, "data.max_bad_share", self.max_bad_share,
                "use 0 to 1")  # fmt: skip
        for name, weight in self.mixture.items():
            require(weight > 0, f"data.mixture.{name}", weight, "use a number > 0")

    def tasks(self, folder: Path) -> dict[str, float]:
        """Task folders of a data folder and their weights.

        Raises:
            UserError: there is none.
        """
        if self.mixture or self.preset:
            return self.mixture or dict.fromkeys(MIXTURES[self.preset], 1.0)
        found = [name for name in TASK_TYPES.values() if (folder / name).is_dir()]
        if not found:
            raise UserError(
                "holds no task's folder, such as ObjectNavType",
                file=folder,
                mend="give the folder that flare collect --layout chores or flare download wrote",
            )
        return dict.fromkeys(found, 1.0)


class Faults:
    """Counts episodes that cannot be read, tells of each once, and ends the run past a share."""

    def __init__(self, num_samples: int, max_share: float, tell: Callable[[str], None]) -> None:
        self._most, self._of, self._tell = int(max_share * num_samples), num_samples, tell
        self._found: dict[Sample, str] = {}
        self._lock = threading.Lock()

    @property
    def samples(self) -> list[Sample]:
        """The different episodes that could not be read."""
        return list(self._found)

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._found)

    def add(self, sample: Sample, error: BaseException) -> None:
        """Note one.

        Raises:
            UserError: that is one too many.
        """
        with self._lock:
            if sample in self._found:
                return
            self._found[sample] = str(error)
        self._tell(f"skipped {sample}: {type(error).__name__}: {error}")
        if len(self._found) > self._most:
            raise UserError(
                f"{len(self._found)} of {self._of} episodes cannot be read; the last: "
                f"{sample} ({error})",
                key="data.max_bad_share",
                mend="download or collect them again, or allow a larger share",
            )


class WindowLoader:
    """Endless batches of windows over one data folder."""

    def __init__(
        self,
        folder: Path,
        config: ChoresConfig,
        *,
        batch_size: int,
        seed: int,
        num_cameras: int = 2,
        size: tuple[int, int] | None = None,
        rank: int = 0,
        num_ranks: int = 1,
        tell: Callable[[str], None] = print,
    ) -> None:
        """Find the episodes.

        Args:
            folder: ``<folder>/<task>/<split>/<house>/``.
            config: what to read.
            batch_size: windows a batch, B.
            seed: of order and windows.
            num_cameras: 1 or 2.
            size: height and width to scale frames to, px; None: as stored.
            rank: this process's number, of ``num_ranks`` that share each gradient step.
            num_ranks: processes; together they read what one with B times as many would.
            tell: called with a line for each episode that cannot be read.

        Raises:
            UserError: no data, or a task that is not there.
        """
        self._config, self._seed = config, seed
        self._batch_size, self._rank, self._num_ranks = batch_size, rank, num_ranks
        self._num_cameras, self._size = num_cameras, size
        tasks = config.tasks(folder)
        self.sets = [find_samples(folder / t, config.split, config.max_samples) for t in tasks]
        sizes = [len(samples) for samples in self.sets]
        self._order = Interleaving.of(sizes, list(tasks.values()))
        self.faults = Faults(sum(sizes), config.max_bad_share, tell)
        self._permutation = lru_cache(2 * len(sizes))(self._permute)

    @property
    def num_samples(self) -> int:
        """Different episodes."""
        return sum(len(samples) for samples in self.sets)

    @property
    def epoch_size(self) -> int:
        """Windows an epoch."""
        return len(self._order)

    def sample(self, item: int) -> tuple[Sample, tuple[int, int, int]]:
        """The episode of the item-th window ever, and the key (seed, epoch, index) of its cut."""
        epoch, index = divmod(item, self.epoch_size)
        which, nth = int(self._order.which[index]), int(self._order.nth[index])
        samples = self.sets[which]
        chosen = self._permutation(epoch, which)[nth % len(samples)]
        return samples[int(chosen)], (self._seed, epoch, index)

    def batches(
        self, first: int = 0, progress: Callable[[int], float] = lambda _: 0.0
    ) -> Iterator[WindowBatch | None]:
        """Each of the rank's batches from number ``first`` on.

        What was read before does not matter: a resumed run gets the batches of an uninterrupted.

        Windows that cannot be read are left out of their batch. One without any is None: it counts,
        so that all ranks stay at the same number.

        Args:
            first: number of the gradient step to begin with.
            progress: gradient step to its place in [0, 1] of the training.

        Raises:
            UserError: too many episodes cannot be read.
        """
        pending: deque[list[Future[Window | None]]] = deque()
        pool = ThreadPoolExecutor(self._config.num_workers)
        try:
            number = first
            while True:
                while len(pending) <= self._config.prefetch:
                    last_prob = self._config.window.last_prob_at(progress(number))
                    items = self._items(number)
                    pending.append([pool.submit(self._read, i, last_prob) for i in items])
                    number += 1
                read = [future.result() for future in pending.popleft()]
                windows = [window for window in read if window is not None]
                yield WindowBatch.of(windows) if windows else None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _items(self, number: int) -> range:
        start = (number * self._num_ranks + self._rank) * self._batch_size
        return range(start, start + self._batch_size)

    def _read(self, item: int, last_prob: float) -> Window | None:
        sample, key = self.sample(item)
        try:
            return read_window(
                sample, key, self._config.window,
                last_prob=last_prob, num_cameras=self._num_cameras, size=self._size,
                stored_size=self._config.stored_size,
            )  # fmt: skip
        except _BROKEN as error:
            self.faults.add(sample, error)
            return None

    def _permute(self, epoch: int, which: int) -> NDArray[np.int64]:
        """The order in which a set's samples are read in one epoch."""
        count = np.arange(len(self.sets[which]))
        return np.argsort(keyed_bits(self._seed, 0, epoch, count, _ORDER + which), kind="stable")
