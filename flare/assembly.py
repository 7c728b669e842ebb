"""Puts houses, worlds, task and sampler together from configs: what every recipe starts with."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from flare.data.spec_sampler import SpecSampler
from flare.data.specs import open_specs
from flare.errors import UserError, require
from flare.houses.files import read_houses
from flare.specs import ActionSpec, CameraSpec
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TASKS, check_name
from flare.tasks.rewards import RewardConfig
from flare.tasks.sampler import EpisodeSampler, SamplerConfig
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, House, load_houses
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.worlds import ThorWorlds
from flare.worlds.world import Worlds

_BYTES_PER_WORLD = 64 * 1024  # state and path fields of one world, an upper estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldConfig:
    """The worlds of one process."""

    num_envs: int = 64  # N
    num_threads: int = 0  # simulator threads; 0: one per core
    assets: Path | None = None  # pack of `flare assets build`; None: proxies for Objaverse objects
    camera: CameraSpec = field(default_factory=lambda: CameraSpec(width=84, height=48))
    action_names: tuple[str, ...] = ()  # of the policy; empty: what the tasks need
    manipulation_camera: bool = True  # a second camera as soon as a task needs the arm
    kind: Literal["embedded", "thor"] = "embedded"  # thor: AI2-THOR's processes
    thor: ThorConfig = field(default_factory=ThorConfig)  # of kind thor

    def __post_init__(self) -> None:
        require(self.num_envs >= 1, "world.num_envs", self.num_envs, "use at least 1")
        require(
            0 <= self.num_threads <= 4096,
            "world.num_threads",
            self.num_threads,
            "use 0 for one per core",
        )
        if self.action_names:
            try:
                ActionSpec(self.action_names)
            except UserError as error:
                raise UserError(error.what, key="world.action_names", mend=error.mend) from error

    @property
    def threads(self) -> int:
        """Simulator threads, resolved."""
        return self.num_threads or len(os.sched_getaffinity(0))

    def for_tasks(self, mixture: TaskMixture) -> "WorldConfig":
        """The same with what these tasks need where nothing is given: actions, second camera.

        Raises:
            UserError: actions are given, and a task needs another.
        """
        camera = self.camera
        if mixture.uses_arm and self.manipulation_camera:
            camera = replace(camera, num_cameras=2)
        names = self.action_names or mixture.actions
        mixture.check_actions(names)
        return replace(self, camera=camera, action_names=names)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskConfig:
    """Tasks and episodes; the step limits by default are the original's."""

    names: tuple[str, ...] = ("ObjectNav",)  # tasks, drawn equally often
    mixture: dict[str, float] = field(default_factory=dict)  # in place of names: task to weight
    max_steps: int = 0  # of every task; 0: 500 in training, then 600, for RoomVisit 1000
    reward: RewardConfig = field(default_factory=RewardConfig)  # what a step pays
    sampler: SamplerConfig = field(default_factory=SamplerConfig)  # which episodes are drawn

    def __post_init__(self) -> None:
        for name in self.names:
            check_name(name, "task.names")
        for name in self.mixture:
            check_name(name, "task.mixture")
        require(
            0 <= self.max_steps <= 10_000,
            "task.max_steps",
            self.max_steps,
            "use 0 for the original's limits, or 1 to 10000 steps",
        )

    def build(self, *, is_evaluation: bool = False) -> TaskMixture:
        """The tasks that judge, with the limits of training or of evaluation.

        Raises:
            UserError: a task twice, or a weight that is not positive.
        """
        weights = self.mixture or dict.fromkeys(self.names, 1.0)
        names = tuple(self.mixture or self.names)
        tasks = []
        for name in names:
            task = TASKS[name](reward=self.reward)
            limit = task.evaluation_steps if is_evaluation else task.max_steps
            tasks.append(replace(task, max_steps=self.max_steps or limit))
        return TaskMixture(tasks=tuple(tasks), weights=tuple(weights[name] for name in names))


def check_limit(max_houses: int | None) -> None:
    """Refuse to read less than one house."""
    require(max_houses is None or max_houses >= 1, "max_houses", max_houses, "use at least 1")


def check_torch_threads(num_threads: int) -> None:
    """Refuse what PyTorch would not take."""
    require(0 <= num_threads <= 4096, "num_threads", num_threads, "use 0 for one per core")


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "is 'cuda', but PyTorch finds no GPU",
            key="device",
            mend="use 'cpu', or see what `flare doctor` says of the driver",
        )


def load_house_file(
    path: Path, *, limit: int | None = None, num_threads: int = 1, assets: Path | None = None
) -> list[House]:
    """All houses of a file (or the first ``limit``), parsed and ready to play.

    Objects whose asset the pack ``assets`` holds have its mesh and box, the others are proxies.

    Raises:
        UserError, HouseFormatError: the file or a house in it is not as it should be.
    """
    items = read_houses(path, limit=limit)
    if not items:
        raise UserError("holds no house", file=path, mend="write some with flare houses generate")
    return load_houses(items, num_threads=num_threads, assets=assets)


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
    """N embedded worlds over these houses; ``world`` as WorldConfig.for_tasks resolved it.

    Raises:
        UserError: other worlds are asked for.
    """
    require(
        world.kind == "embedded", "world", world.kind, "only finetune and eval play in AI2-THOR"
    )
    return EmbeddedWorlds(
        houses,
        num_envs=world.num_envs,
        num_threads=world.threads,
        camera=world.camera,
        action_names=world.action_names,
    )


def open_worlds(houses: list[House], world: WorldConfig, house_file: Path) -> Worlds:
    """N worlds of the configured kind over the first houses of a file.

    Raises:
        UserError: AI2-THOR is to be started and what was named is not there.
    """
    if world.kind == "embedded":
        return make_worlds(houses, world)
    return ThorWorlds(
        read_houses(house_file, limit=len(houses)),
        num_envs=world.num_envs,
        config=world.thor,
        camera=world.camera,
        action_names=world.action_names,
        houses=houses,
    )


def make_sampler(
    houses: list[House], task: TaskConfig, seed: int, *, mixture: TaskMixture | None = None
) -> EpisodeSampler:
    """The sampler of episodes of these tasks; ``mixture`` if it is not that of training.

    Raises:
        UserError: the houses have no such episode, or the task specs cannot be read.
    """
    tasks = mixture or task.build()
    if task.sampler.specs:
        source = open_specs(task.sampler.specs)
        return SpecSampler(houses, tasks, EPISODE_DTYPE, task.sampler, seed, source)
    return EpisodeSampler(houses, tasks, EPISODE_DTYPE, task.sampler, seed)
