"""AI2-THOR as Worlds: N envs over M worker processes, the others loading what comes next."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.robots import load_robot
from flare.specs import NAVIGATION_ACTIONS, CameraSpec
from flare.worlds.embedded import (
    EPISODE_DTYPE,
    FACTS_DTYPE,
    REPORT_DTYPE,
    FlareError,
    FollowedWorlds,
    House,
    load_houses,
)
from flare.worlds.house_worlds import HouseWorlds
from flare.worlds.thor.config import ThorConfig, crop_of
from flare.worlds.thor.devices import device_map
from flare.worlds.thor.history import History
from flare.worlds.thor.loading import Loader
from flare.worlds.thor.memory import OWN, FrameMemory, make_channel, write_houses
from flare.worlds.thor.pool import Failure, Pool
from flare.worlds.thor.worker_process import State, WorkerProcess
from flare.worlds.thor_worker.channel import PRESENT, STEP


class ThorWorlds(HouseWorlds[House]):
    """N worlds of AI2-THOR over a shared set of houses; implements ``flare.worlds.Worlds``.

    Every process is started in a group of its own, watched, and replaced when it fails. What that
    costs is its env's episode: ``faulted`` tells of it after the step, or after the first step of
    an episode that could not be started.
    """

    def __init__(
        self,
        items: Sequence[tuple[str, str]],
        *,
        num_envs: int,
        config: ThorConfig | None = None,
        camera: CameraSpec | None = None,
        action_names: tuple[str, ...] = NAVIGATION_ACTIONS,
        houses: Sequence[House] | None = None,
    ) -> None:
        """Start the processes; they are waited for by the first ``reset``.

        Args:
            items: source and JSON text of each house, at least one.
            num_envs: N.
            config: of processes and controllers.
            camera: size and number of the frames; the original's by default.
            action_names: the policy's actions in the order of its ids.
            houses: the same houses if they are loaded already.

        Raises:
            UserError: an executable or device that is not there, an action that does not exist.
            HouseFormatError: a house that does not load.
        """
        self.config = ThorConfig() if config is None else config
        super().__init__(
            load_houses(items) if houses is None else houses,
            (load_robot("stretch"),),
            FACTS_DTYPE,
            num_envs=num_envs,
            camera=camera,
            action_names=action_names,
        )
        self._core = FollowedWorlds(list(self._houses), num_envs)
        executable = self.config.find_executable()
        self.devices = device_map(self.config.gpu_devices)
        num_workers = num_envs + self.config.num_spares
        self._boxes_memory, self._channel = make_channel(num_workers)
        self._houses_memory = write_houses(self._houses, items)
        self._frames = FrameMemory(self._channel, num_envs, self._camera.frame_shape)
        self._pool = Pool(
            self.config,
            self._channel,
            num_workers,
            self._worker_config(executable, num_workers),
            (self._boxes_memory.fd, self._houses_memory.fd),
            self.devices,
        )
        self._loader = Loader(self.config, self._pool, self._channel, self._houses, num_envs)
        self._faulted = np.zeros(num_envs, np.bool_)
        self._has_no_start = np.zeros(num_envs, np.bool_)  # its reset failed
        self._history = History(num_envs)
        self._report_rows = np.zeros(num_envs, REPORT_DTYPE)
        self._ahead = ThreadPoolExecutor(max_workers=1)
        self._needs_start = np.ones(num_envs, np.bool_)

    def _worker_config(self, executable: tuple[str, ...], num_workers: int) -> dict[str, Any]:
        config = self.config
        return {
            "trainer": os.getpid(),
            "channel_fd": self._boxes_memory.fd,
            "num_workers": num_workers,
            "first_number": num_workers * int(os.environ.get("LOCAL_RANK", "0")),
            "houses_fd": self._houses_memory.fd,
            "num_houses": len(self._houses),
            "num_cameras": self._camera.num_cameras,
            "width": self._camera.width,
            "height": self._camera.height,
            "crop": crop_of(self._camera.width),
            "executable": executable[0] if executable else "",
            "executable_arguments": list(executable[1:]),
            "commit_id": config.commit_id,
            "platform": config.platform,
            "base_dir": config.base_dir,
            "controller": config.controller_arguments(self._camera),
            "use_quick_navi_action": config.use_quick_navi_action,
            "settle_seconds": config.settle_seconds,
            "view_distance": config.view_distance,
            "assets": config.asset_arguments(),
        }

    # --- what the contract asks for ---

    @property
    def faulted(self) -> NDArray[np.bool_]:
        """[N] whose world failed in the last ``step``, or could not start its episode before it."""
        return self._faulted

    def reset(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Start episodes in the envs ``env_ids`` [n] from ``specs`` [n]; write only their rows.

        An episode whose house is out of use, or that no process could start, has no frames (0) and
        the facts of its spec; its env is ``faulted`` after the next step.

        Raises:
            FlareError: a start, target or house that does not exist; then no env has changed.
        """
        self._check(env_ids, specs)
        self._start_episodes(env_ids, specs, np.zeros((len(env_ids), 0), np.uint8), frames, facts)

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
        draw: NDArray[np.bool_] | None = None,
    ) -> None:
        """Execute one policy action per env, [N] integer ids; write every row.

        Where ``draw`` [N] is False the frame is not wanted and left as it is; facts are the same.

        Raises:
            IndexError: an id the policy does not have.
            FlareError: an env without an episode.
        """
        ids = self._to_core(actions)
        if self._needs_start.any():
            raise FlareError(
                f"env {int(self._needs_start.argmax())} has no episode; reset it first"
            )
        self._faulted = self._has_no_start.copy()
        if self._pool.over_memory:
            self._drop_too_large()
        envs = np.flatnonzero(~self._faulted)
        workers = self._workers_of(envs)
        wanted = [True] * self._num_envs if draw is None else draw.tolist()
        memory = self._request(envs, workers, STEP, frames, wanted, ids)
        # While they work: nobody waits for any of this.
        self._history.add(envs.tolist(), ids.tolist())
        self._pool.pump(is_urgent=False)
        self._loader.feed_spares()
        lost = self._pool.wait(workers, self.config.step_timeout)
        for worker in lost:
            self._fault(worker)
        if lost:
            envs = np.flatnonzero(~self._faulted)
        self._follow(envs, ids, facts)
        if memory == OWN:
            self._frames.collect(frames, envs if draw is None else envs[draw[envs]])

    def expert_actions(self) -> NDArray[np.int64]:
        """[N] int64 policy ids of the shortest-path expert's next actions.

        It plans with the embedded world's map of the house.

        Raises:
            UserError: the expert wants an action that the policy does not have.
        """
        return self._to_policy(self._core.expert_actions())

    def save_state(self) -> NDArray[np.uint8]:
        """[N, B] opaque bytes from which ``restore`` continues: the start and every action since.

        Raises:
            FlareError: an env without an episode, or one of more than 2048 actions.
        """
        return self._history.pack(self._core.save_state())

    def restore(
        self,
        env_ids: NDArray[np.int32],
        states: NDArray[np.uint8],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Put saved rows [n, B] back by playing the episodes again up to where they were.

        Raises:
            FlareError: a state that does not fit these houses; then no env has changed.
        """
        core, played = self._history.unpack(states, len(env_ids))
        specs = core[:, : EPISODE_DTYPE.itemsize].copy().view(EPISODE_DTYPE)[:, 0]
        self._check(env_ids, specs)
        for row, env in enumerate(env_ids):
            one = np.array([env], np.int32)
            self._start_episodes(one, specs[row : row + 1], played[row][None], frames, facts)
            if not self._has_no_start[env]:
                reports = self._reports(one)
                self._core.restore(one, core[row : row + 1], reports, facts)

    def close(self) -> None:
        """Kill all processes; nothing may be called afterwards."""
        self._ahead.shutdown(cancel_futures=True)
        self._pool.close()
        for memory in (self._frames, self._houses_memory, self._boxes_memory):
            memory.close()

    # --- beyond the contract ---

    def announce(self, env_ids: NDArray[np.int32], specs: NDArray[np.void]) -> None:
        """Tell which episodes these envs will start next, so that spares can load their houses."""
        for env, spec in zip(env_ids, specs, strict=True):
            self._loader.announce(int(env), np.array([spec]))
            # What leads to the goal takes a moment to find; the core drops the GIL for it.
            self._ahead.submit(self._core.prepare, np.array([spec]))
        self._loader.feed_spares()

    @property
    def failures(self) -> list[Failure]:
        """Every process that was lost, oldest first."""
        return self._pool.failures

    @property
    def quarantined(self) -> list[str]:
        """Houses that failed too often and are left out, by their sources."""
        return [self._houses[house].source for house in sorted(self._loader.bad_houses())]

    @property
    def lost_devices(self) -> list[int]:
        """CUDA indices on which nothing starts any more."""
        return self._pool.lost_devices

    def summary(self) -> dict[str, Any]:
        """What went wrong so far, for logs: counts, houses and devices that are left out."""
        return {
            "failures": len(self.failures),
            "recycled": self._pool.recycled,
            "quarantined": self.quarantined,
            "lost_devices": self.lost_devices,
        }

    def devices_text(self) -> str:
        """One line: which worker's simulator draws on which device."""
        if not self.devices:
            return f"AI2-THOR: {len(self._pool.workers)} processes, device left to the build"
        dealt = [f"CUDA {cuda} is Vulkan {vulkan}" for cuda, vulkan in self.devices.items()]
        return f"AI2-THOR: {len(self._pool.workers)} processes in turn on {', '.join(dealt)}"

    @property
    def pool(self) -> Pool:
        """The processes."""
        return self._pool

    # --- starting episodes ---

    def _check(self, env_ids: NDArray[np.int32], specs: NDArray[np.void]) -> None:
        if len(set(env_ids.tolist())) != len(env_ids):
            raise FlareError("an env id is listed twice")
        self._core.check(env_ids, specs)

    def _start_episodes(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        history: NDArray[np.uint8],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Load, swap and present; ``history`` [n, K] are actions to play at once."""
        self._has_no_start[env_ids] = True
        self._needs_start[env_ids] = False
        failed = self._loader.load(env_ids, specs, history)
        self._has_no_start[np.setdiff1d(env_ids, failed)] = False
        self._present(env_ids, specs, history, frames, facts)

    def _present(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        history: NDArray[np.uint8],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """First frames and facts of episodes that are loaded."""
        good = env_ids[~self._has_no_start[env_ids]]
        workers = self._workers_of(good)
        memory = self._request(good, workers, PRESENT, frames, [True] * self._num_envs)
        for worker in self._pool.wait(workers, self.config.step_timeout):
            self._has_no_start[self.env_of(worker)] = True
            self._loader.worker_of[self.env_of(worker)] = None
        for row, env in enumerate(env_ids):
            one = env_ids[row : row + 1]
            self._history.begin(int(env), history[row])
            is_good = not self._has_no_start[env]
            reports = self._reports(one) if is_good else _report_of(specs[row : row + 1])
            try:
                self._core.reset(one, specs[row : row + 1], reports, facts)
            except FlareError:
                self._drop_nonsense(int(env))
                self._core.reset(one, specs[row : row + 1], _report_of(specs[row : row + 1]), facts)
            if not is_good:
                frames[env] = 0
        if memory == OWN:
            self._frames.collect(frames, env_ids[~self._has_no_start[env_ids]])

    def _drop_nonsense(self, env: int) -> None:
        worker = self._loader.worker_of[env]
        self._loader.worker_of[env] = None
        self._has_no_start[env] = self._faulted[env] = True
        if worker is not None:
            self._pool.lose(worker, "its report does not fit the house")

    # --- steps ---

    def _workers_of(self, envs: NDArray[np.integer[Any]]) -> list[WorkerProcess]:
        """The processes that play these envs, which all have one."""
        bound = self._loader.worker_of
        return [worker for env in envs.tolist() if (worker := bound[env]) is not None]

    def _request(
        self,
        envs: NDArray[np.integer[Any]],
        workers: Sequence[WorkerProcess],
        command: int,
        frames: NDArray[np.uint8],
        draw: Sequence[bool],
        ids: NDArray[np.int32] | None = None,
    ) -> int:
        """Send one command to the workers of these envs; returns the memory their frames go to."""
        memory, offsets = self._frames.place(frames, envs.tolist())
        actions = [0] * self._num_envs if ids is None else ids.tolist()
        for env, worker, offset in zip(envs.tolist(), workers, offsets, strict=True):
            worker.request_step(command, actions[env], draw[env], memory, offset)
        return memory

    def _drop_too_large(self) -> None:
        """Give up workers that grew too large for another step."""
        for worker in self._workers_of(np.flatnonzero(~self._faulted)):
            if worker.index in self._pool.over_memory and worker.state is State.PLAYING:
                cap = self.config.memory_cap_gb
                self._pool.lose(worker, f"more than {cap:g} GiB of memory")
                self._fault(worker)

    def _fault(self, worker: WorkerProcess) -> None:
        env = self.env_of(worker)
        self._loader.worker_of[env] = None
        self._faulted[env] = self._has_no_start[env] = True

    def env_of(self, worker: WorkerProcess) -> int:
        """The env that a worker plays."""
        return self._loader.worker_of.index(worker)

    def _reports(self, envs: NDArray[np.integer[Any]]) -> NDArray[np.void]:
        workers = self._workers_of(envs)
        for row, worker in enumerate(workers):
            self._report_rows[row] = self._channel.reports[worker.index]
        return self._report_rows[: len(workers)]

    def _follow(
        self, envs: NDArray[np.int64], ids: NDArray[np.int32], facts: NDArray[np.void]
    ) -> None:
        """Facts from what the workers report; a report that is nonsense is a fault."""
        fit = self._core.follow(envs.astype(np.int32), ids[envs], self._reports(envs), facts)
        for env in [] if fit.all() else envs[~fit].tolist():
            self._drop_nonsense(env)


def _report_of(specs: NDArray[np.void]) -> NDArray[np.void]:
    """[n] reports of robots that stand where their episodes want to start."""
    reports = np.zeros(len(specs), REPORT_DTYPE)
    for name in ("x", "z", "yaw_deg"):
        reports[name] = specs[name]
    reports["held"] = reports["num_moved"] = -1
    return reports
