"""Which process loads which episode: those that envs wait for first, then those announced."""

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flare.worlds.embedded import GOALS, House, camera_settings, look_seeds
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.pool import Pool
from flare.worlds.thor.worker_process import State, WorkerProcess
from flare.worlds.thor_worker.channel import Channel

_HOLD = GOALS.index("hold")
_HOUSE_TRIES = 2  # loads of one reset before its episode is given up
_AHEAD = (State.LOADING, State.READY)


class Loader:
    """Binds envs to the processes of a pool, and has the others load ahead."""

    def __init__(
        self,
        config: ThorConfig,
        pool: Pool,
        channel: Channel,
        houses: Sequence[House],
        num_envs: int,
    ) -> None:
        self._limit = config.house_failures
        self._longest = config.start_timeout + config.reset_timeout  # s, of one call of load
        self._pool, self._channel, self._houses = pool, channel, houses
        self.worker_of: list[WorkerProcess | None] = [None] * num_envs
        self._noted_failures = 0  # of the pool's list
        self._house_failures: Counter[int] = Counter()
        self._announced: dict[int, NDArray[np.void]] = {}  # oldest first
        self._awaited: set[bytes] = set()  # episodes that a reset waits for

    def announce(self, env: int, spec: NDArray[np.void]) -> None:
        """Note the episode [1] that an env will start next."""
        self._announced.pop(env, None)
        self._announced[env] = spec

    def load(
        self, env_ids: NDArray[np.int32], specs: NDArray[np.void], history: NDArray[np.uint8]
    ) -> list[int]:
        """Bind each env to a process that has its episode ready; the envs for which none could.

        Args:
            env_ids: [n].
            specs: [n] episodes.
            history: [n, K] actions to play at once.

        Raises:
            UserError: no process has ever started.
        """
        todo = {int(env): np.array([spec]) for env, spec in zip(env_ids, specs, strict=True)}
        past = {int(env): row for env, row in zip(env_ids, history, strict=True)}
        tries = dict.fromkeys(todo, 0)
        hopeless: list[int] = []
        for env in todo:
            self._announced.pop(env, None)
        self._awaited = {todo[env].tobytes() + past[env].tobytes() for env in todo}
        end = time.monotonic() + self._longest
        while todo and time.monotonic() < end:
            seen = self._channel.news.get()
            self._pool.pump()
            self._pool.check_starts()
            self._note_lost_loads(todo, tries)
            for env in [e for e in todo if self._is_hopeless(todo[e], tries[e])]:
                del todo[env]
                hopeless.append(env)
            for env, spec in list(todo.items()):
                if self._serve(env, spec, past[env]):
                    del todo[env]
            self.feed_spares()
            if todo:
                self._pool.sleep(seen)
        self._awaited.clear()
        return hopeless + list(todo)

    def bad_houses(self) -> set[int]:
        """Houses that failed too often."""
        limit = self._limit
        return {house for house, count in self._house_failures.items() if count >= limit}

    def _is_hopeless(self, spec: NDArray[np.void], tries: int) -> bool:
        return int(spec["house"][0]) in self.bad_houses() or tries >= _HOUSE_TRIES

    def _note_lost_loads(self, todo: dict[int, NDArray[np.void]], tries: dict[int, int]) -> None:
        """Count houses whose load cost a worker, and forget workers that are gone."""
        for failure in self._pool.failures[self._noted_failures :]:
            if failure.doing == State.LOADING.value and failure.house >= 0:
                self._house_failures[failure.house] += 1
                for env, spec in todo.items():
                    tries[env] += int(spec["house"][0]) == failure.house
        self._noted_failures = len(self._pool.failures)
        for env, worker in enumerate(self.worker_of):
            if worker is not None and worker.state is State.DOWN:
                self.worker_of[env] = None

    def _serve(self, env: int, spec: NDArray[np.void], history: NDArray[np.uint8]) -> bool:
        """Bind a worker that has the episode ready to the env; else have one load it."""
        key = spec.tobytes() + history.tobytes()
        holder = next((w for w in self._pool.workers if w.spec == key and w.state in _AHEAD), None)
        if holder is not None:
            if holder.state is not State.READY:
                return False
            self._bind(env, holder)
            return True
        own = self.worker_of[env]
        if own is not None:
            self.worker_of[env] = None
            own.state, own.spec = State.FREE, None
        free = self._free_workers(int(spec["house"][0]), is_urgent=True)
        if free:
            self._begin_load(free[0], spec, history, key)
        return False

    def _free_workers(self, house: int, *, is_urgent: bool = False) -> list[WorkerProcess]:
        """Those with nothing to do, the ones that hold this house first; worn ones are replaced.

        Where an env waits, one that has loaded what nobody waits for yet counts as free, last.
        """
        awaited = {spec.tobytes() for spec in self._announced.values()}
        free = []
        for worker in self._pool.workers:
            is_idle = worker.state is State.FREE
            is_stale = worker.state is State.READY and worker.spec not in self._awaited
            if is_stale and not is_urgent and worker.spec in awaited:
                continue
            if not is_idle and not is_stale:
                continue
            if is_idle and self._pool.is_worn(worker):
                self._pool.recycle(worker)
                continue
            free.append(worker)
        return sorted(
            free,
            key=lambda w: (w.state is State.READY, w.spec in awaited, w.house != house),
        )

    def _bind(self, env: int, worker: WorkerProcess) -> None:
        own = self.worker_of[env]
        if own is not None and own is not worker and own.state is State.PLAYING:
            own.state, own.spec = State.FREE, None
        worker.state = State.PLAYING
        self.worker_of[env] = worker
        self._house_failures.pop(worker.house, None)

    def _begin_load(
        self, worker: WorkerProcess, spec: NDArray[np.void], history: NDArray[np.uint8], key: bytes
    ) -> None:
        box, one, house = worker.box, spec[0], int(spec["house"][0])
        box["house"], box["x"], box["z"] = house, one["x"], one["z"]
        box["yaw_deg"] = one["yaw_deg"]
        for i, (pitch, fov) in enumerate(camera_settings(self._houses[house], spec)):
            box["pitch_deg"][i], box["fov_deg"][i] = pitch, fov
        box["material_seed"], box["light_seed"] = look_seeds(spec)
        box["counts_manipulation"] = int(one["goal"]) == _HOLD and int(one["num_targets"]) > 0
        box["num_targets"], box["targets"] = one["num_targets"], one["targets"]
        box["num_history"] = len(history)
        box["history"][: len(history)] = history
        self._pool.load(worker, key, house)

    def feed_spares(self) -> None:
        """Give announced episodes, oldest first, to processes that have nothing to do."""
        if not self._announced:
            return
        ahead = {w.spec for w in self._pool.workers if w.state in _AHEAD}
        bad = self.bad_houses()
        for spec in self._announced.values():
            key = spec.tobytes()
            if key in ahead or int(spec["house"][0]) in bad:
                continue
            free = self._free_workers(int(spec["house"][0]))
            if not free:
                return
            self._begin_load(free[0], spec, np.zeros(0, np.uint8), key)
