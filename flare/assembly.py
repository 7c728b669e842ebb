"""Puts houses, worlds, task and sampler together from configs: what every recipe starts with."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from flare.errors import UserError, require
from flare.houses.files import read_houses
from flare.specs import NAVIGATION_ACTIONS, ActionSpec, CameraSpec
from flare.tasks.object_nav import ObjectNav
from flare.tasks.sampler import EpisodeSampler, SamplerConfig
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, House, load_houses

_BYTES_PER_WORLD = 64 * 1024  # state and path fields of one world, an upper estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldConfig:
    """The worlds of one process."""

    num_envs: int = 64  # N
    num_threads: int = 0  # simulator threads; 0: one per core
    camera: CameraSpec = field(default_factory=lambda: CameraSpec(width=84, height=48))
    action_names: tuple[str, ...] = NAVIGATION_ACTIONS

    def __post_init__(self) -> None:
        require(self.num_envs >= 1, "world.num_envs", self.num_envs, "use at least 1")
        require(
            0 <= self.num_threads <= 4096,
            "world.num_threads",
            self.num_threads,
            "use 0 for one per core",
        )
        try:
            ActionSpec(self.action_names)
        except UserError as error:
            raise UserError(error.what, key="world.action_names", mend=error.mend) from error

    @property
    def threads(self) -> int:
        """Simulator threads, resolved."""
        return self.num_threads or len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskConfig:
    """Task and episodes."""

    max_steps: int = 500  # steps after which an episode is truncated
    success_reward: float = 10.0
    step_penalty: float = 0.0
    sampler: SamplerConfig = field(default_factory=SamplerConfig)

    def __post_init__(self) -> None:
        require(
            1 <= self.max_steps <= 10_000, "task.max_steps", self.max_steps, "use 1 to 10000 steps"
        )
        for name in ("success_reward", "step_penalty"):
            value = getattr(self, name)
            require(math.isfinite(value), f"task.{name}", value, "use a finite number")

    def task(self) -> ObjectNav:
        """The task that judges."""
        return ObjectNav(
            max_steps=self.max_steps,
            success_reward=self.success_reward,
            step_penalty=self.step_penalty,
        )


def check_limit(max_houses: int | None) -> None:
    """Refuse to read less than one house."""
    require(max_houses is None or max_houses >= 1, "max_houses", max_houses, "use at least 1")


def check_torch_threads(num_threads: int) -> None:
    """Refuse what PyTorch would not take."""
    require(0 <= num_threads <= 4096, "num_threads", num_threads, "use 0 for one per core")


def load_house_file(path: Path, *, limit: int | None = None, num_threads: int = 1) -> list[House]:
    """All houses of a file (or the first ``limit``), parsed and ready to play.

    Raises:
        UserError, HouseFormatError: the file or a house in it is not as it should be.
    """
    items = read_houses(path, limit=limit)
    if not items:
        raise UserError("holds no house", file=path, mend="write some with flare houses generate")
    return load_houses(items, num_threads=num_threads)


def check_memory(world: WorldConfig, num_steps: int) -> None:
    """Refuse a rollout that this machine cannot hold, before anything is allocated.

    Raises:
        UserError: with the bytes that are needed, the bytes that are free and the mend.
    """
    frame_bytes = 1
    for size in world.camera.frame_shape:
        frame_bytes *= size
    needed = world.num_envs * ((num_steps + 1) * frame_bytes + _BYTES_PER_WORLD)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > free:
        fits = max(1, int(world.num_envs * free / needed * 0.8))
        raise UserError(
            f"{world.num_envs} worlds need {needed / 2**30:.1f} GiB for a rollout of {num_steps} "
            f"steps, {free / 2**30:.1f} GiB are free",
            key="world.num_envs",
            mend=f"use at most {fits} worlds, smaller frames or shorter rollouts",
        )


def make_worlds(houses: list[House], world: WorldConfig) -> EmbeddedWorlds:
    """N embedded worlds over these houses."""
    return EmbeddedWorlds(
        houses,
        num_envs=world.num_envs,
        num_threads=world.threads,
        camera=world.camera,
        action_names=world.action_names,
    )


def make_sampler(houses: list[House], task: TaskConfig, seed: int) -> EpisodeSampler:
    """The sampler of training episodes."""
    return EpisodeSampler(houses, EPISODE_DTYPE, task.sampler, seed)
