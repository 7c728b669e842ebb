"""Supervision of worker processes: started, watched, killed with all they started, replaced."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flare.errors import UserError
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.worker_process import State, WorkerProcess
from flare.worlds.thor_worker.channel import OK, Channel

_LOOK = 0.05  # s, the longest sleep between two looks at deadlines and processes
_PUMP_PERIOD = 0.005  # s; looking at a process costs a system call each
_MEMORY_PERIOD = 1.0  # s between looks at memory
_GIB = 2**30
_START_TRIES = 3  # of each worker, before it is clear that nothing starts here


@dataclass(frozen=True, slots=True)
class Failure:
    """One process that was lost, or a house that did not load."""

    seconds: float  # since the pool was made
    worker: int
    doing: str  # State's value
    reason: str
    house: int  # that it was loading or playing, -1 for none


class Pool:
    """M slots for worker processes and what happened to them."""

    def __init__(
        self,
        config: ThorConfig,
        channel: Channel,
        num_workers: int,
        worker_config: Mapping[str, Any],
        fds: tuple[int, ...],
        devices: Mapping[int, int],
    ) -> None:
        """Start all workers at once.

        Args:
            config: deadlines and limits.
            channel: boxes for ``num_workers``.
            num_workers: M.
            worker_config: what every worker is told.
            fds: descriptors that they inherit.
            devices: CUDA index to Vulkan index of those that are dealt out.
        """
        self.config, self.channel = config, channel
        self._worker_config, self._fds, self._devices = worker_config, fds, devices
        self._logs = tempfile.TemporaryDirectory(prefix="flare-thor-")
        self._device_failures = dict.fromkeys(devices, 0)
        self.failures: list[Failure] = []
        self.recycled = 0
        self._has_started = False
        self._next_pump = 0.0
        self._began = self._memory_look = time.monotonic()
        folder = Path(self._logs.name)
        self.workers = [
            WorkerProcess(i, channel, folder / f"worker-{i}.log") for i in range(num_workers)
        ]
        self.over_memory: set[int] = set()
        self.pump()

    # --- what workers do ---

    def load(self, worker: WorkerProcess, spec: bytes, house: int) -> None:
        """Have a started worker load an episode that its box describes."""
        worker.spec, worker.house = spec, house
        worker.episodes += 1
        worker.state = State.LOADING
        worker.deadline = time.monotonic() + self.config.reset_timeout
        worker.request_load()

    def wait(self, workers: Sequence[WorkerProcess], timeout: float) -> list[WorkerProcess]:
        """Sleep until each of these has served its request or is lost; the lost ones.

        A worker that takes longer than ``timeout`` seconds is killed.
        """
        end = time.monotonic() + timeout
        for worker in workers:
            while worker.is_busy and worker.state is not State.DOWN:
                left = end - time.monotonic()
                worker.wait(max(0.0, min(_LOOK, left)))
                if not worker.is_busy:
                    break
                if worker.end() is not None:
                    self.lose(worker, worker.message() or f"exit code {worker.end()}")
                elif left <= 0.0:
                    self.lose(worker, f"no answer within {timeout:g} s")
        return [worker for worker in workers if worker.state is State.DOWN]

    # --- life and death ---

    def lose(self, worker: WorkerProcess, reason: str, *, is_failure: bool = True) -> None:
        """Kill a worker with all it started; a replacement follows after the back-off."""
        now = time.monotonic()
        if is_failure:
            self.failures.append(
                Failure(now - self._began, worker.index, worker.state.value, reason, worker.house)
            )
        is_start = worker.state is State.STARTING
        worker.kill()
        self.over_memory.discard(worker.index)
        if not is_failure:
            worker.start_after = now
            return
        worker.start_failures = worker.start_failures + 1 if is_start else 0
        if is_start and worker.device is not None:
            self._device_failures[worker.device] += 1
        delay = self.config.first_backoff * 2 ** max(0, worker.start_failures - 1)
        worker.start_after = now + (
            min(delay, self.config.longest_backoff) if worker.start_failures else 0.0
        )

    def recycle(self, worker: WorkerProcess) -> None:
        """Replace a worker that is old or large."""
        self.recycled += 1
        self.lose(worker, "", is_failure=False)

    def is_worn(self, worker: WorkerProcess) -> bool:
        """Whether a worker is to be recycled before its next episode."""
        limit = self.config.max_episodes
        return worker.index in self.over_memory or bool(limit and worker.episodes >= limit)

    def pump(self, *, is_urgent: bool = True) -> None:
        """Look after everything that nobody waits for; never sleeps.

        Args:
            is_urgent: False looks only once in some milliseconds.
        """
        now = time.monotonic()
        if now < self._next_pump and not is_urgent:
            return
        self._next_pump = now + _PUMP_PERIOD
        for worker in self.workers:
            if worker.state is State.DOWN:
                if now >= worker.start_after:
                    self._start(worker, now)
            elif worker.state is State.STARTING:
                self._look_at_start(worker, now)
            elif worker.state is State.LOADING:
                self._look_at_load(worker, now)
            elif not worker.is_busy and worker.end() is not None:
                if worker.state is State.PLAYING:
                    continue  # its env hears of it in the next step
                self.lose(worker, worker.message() or f"exit code {worker.end()}")
        if now - self._memory_look >= _MEMORY_PERIOD:
            self._memory_look = now
            self._look_at_memory()

    def check_starts(self) -> None:
        """Refuse to go on where nothing has ever started.

        Raises:
            UserError: every worker has failed to start, repeatedly.
        """
        if self._has_started or any(w.start_failures < _START_TRIES for w in self.workers):
            return
        raise UserError(
            f"AI2-THOR does not start: {self.failures[-1].reason}",
            key="thor",
            mend="run flare doctor --world thor",
        )

    def _start(self, worker: WorkerProcess, now: float) -> None:
        worker.device = self._device_for(worker)
        config = {
            **self._worker_config,
            "device": None if worker.device is None else self._devices[worker.device],
        }
        worker.start(self.config.python, config, self._fds)
        worker.deadline = now + self.config.start_timeout

    def _device_for(self, worker: WorkerProcess) -> int | None:
        """Devices are dealt out in turn; one on which nothing starts any more is left out."""
        limit = self.config.device_failures
        usable = [d for d in self._devices if self._device_failures[d] < limit]
        usable = usable or list(self._devices)
        return usable[worker.index % len(usable)] if usable else None

    @property
    def lost_devices(self) -> list[int]:
        """CUDA indices of devices that are left out."""
        limit = self.config.device_failures
        return [device for device, count in self._device_failures.items() if count >= limit]

    def _look_at_start(self, worker: WorkerProcess, now: float) -> None:
        if int(worker.box["is_started"]):
            worker.state, worker.start_failures = State.FREE, 0
            self._has_started = True
            if worker.device is not None:
                self._device_failures[worker.device] = 0
        elif worker.end() is not None:
            self.lose(worker, worker.message() or self._last_words(worker))
        elif now >= worker.deadline:
            self.lose(worker, f"did not start within {self.config.start_timeout:g} s")

    def _look_at_load(self, worker: WorkerProcess, now: float) -> None:
        if not worker.is_busy and int(worker.box["status"]) == OK:
            worker.state = State.READY
        elif worker.end() is not None:
            self.lose(worker, worker.message() or f"exit code {worker.end()}")
        elif now >= worker.deadline:
            self.lose(worker, f"no house within {self.config.reset_timeout:g} s")

    def _look_at_memory(self) -> None:
        cap = self.config.memory_cap_gb * _GIB
        for worker in self.workers:
            if worker.pid is not None and worker.resident_bytes() > cap:
                self.over_memory.add(worker.index)

    def _last_words(self, worker: WorkerProcess) -> str:
        """The end of a worker's log, for one that died before it could say why."""
        text = worker.log.read_text(errors="replace")[-400:].strip() if worker.log.exists() else ""
        return f"exit code {worker.end()}: {text}" if text else f"exit code {worker.end()}"

    def sleep(self, seen: int) -> None:
        """Sleep until a worker has started or loaded, for a short while at most.

        Args:
            seen: ``channel.news`` before the workers were looked at.
        """
        self.channel.news.wait(seen, _LOOK)

    def close(self) -> None:
        """Kill everything."""
        for worker in self.workers:
            worker.kill()
        self._logs.cleanup()

    def processes(self) -> list[int]:
        """Numbers of all live worker and simulator processes."""
        return [p for w in self.workers for p in (w.pid, w.simulator_pid) if p]
