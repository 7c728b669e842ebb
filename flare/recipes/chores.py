"""``flare imitate``: the four tasks of CHORES, imitated by one small policy in generated houses.

Houses, image encoder, expert demonstrations of each task, imitation of all of them together,
evaluation of each task in houses never trained in. Every stage leaves its result in the run folder,
so an interrupted run goes on with ``--resume``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_torch_threads,
    load_house_file,
    make_sampler,
    make_worlds,
)
from flare.atomic import make_directory, write_json
from flare.config import load_config
from flare.console import Console
from flare.errors import require
from flare.houses.generator import GeneratorConfig
from flare.imitation.demonstrations import collect_demonstrations
from flare.imitation.encoded import EncodedDemonstrations
from flare.policy.config import ImageEncoderConfig
from flare.policy.policy import Policy
from flare.recipes.demo import GOAL_TYPES
from flare.recipes.encoder import EncoderConfig, TurnsOfViews, WalkedViews, views_anywhere
from flare.recipes.imitate import ImitationConfig
from flare.recipes.pretrain import make_agent
from flare.recipes.pretraining import Pretraining
from flare.recipes.stages import evaluation_stage, frozen_stage, generate_stage
from flare.rng import check_seed
from flare.run_folder import RunFolder, make_manifest
from flare.signals import StopFlag
from flare.specs import CameraSpec
from flare.tasks.hold import PICKUP_TYPES
from flare.tasks.sampler import SamplerConfig
from flare.tensorboard import tell_if_missing
from flare.worlds.embedded import House

TASKS = ("ObjectNav", "PickUp", "Fetch", "RoomVisit")
_AT_ONCE = 100  # episodes whose frames are in memory before they are encoded
_SEEKING = ("ObjectNav", "RoomVisit")  # tasks for which types to find count, not types to take


@dataclass(frozen=True, kw_only=True, slots=True)
class ImitateConfig:
    """Configuration of ``flare imitate``."""

    quick: bool = False  # run every stage, briefly; learns nothing
    tasks: tuple[str, ...] = TASKS
    runs: Path = Path("runs")  # folder of runs
    name: str | None = None  # of the run; None: the time
    seed: int = 0
    resume: Path | None = None  # run folder to go on with
    num_threads: int = 0  # of PyTorch and the simulator; 0: one per core
    num_train_houses: int = 1000
    num_val_houses: int = 60
    num_demonstrations: int = 2000  # expert episodes of each task
    noise: float = 0.1  # share of their actions that are random; what the expert wanted is learnt
    num_eval_episodes: int = 200  # of each task
    goal_types: tuple[str, ...] = GOAL_TYPES  # to find
    pickup_types: tuple[str, ...] = PICKUP_TYPES  # to take
    max_steps: int = 150
    max_distance: float = 3.0  # m to walk from the start until the goal can be seen or reached
    max_start_turn_deg: float = 30.0  # a start looks at most this far away from its goal
    camera: CameraSpec = field(
        default_factory=lambda: CameraSpec(width=168, height=96, num_cameras=2)
    )
    num_envs: int = 64
    # Of the policy's image encoder: finer than the small policy's own and with more numbers a cell,
    # as what is to be taken is a few pixels wide.
    channels: tuple[int, ...] = (24, 48, 96, 96)
    first_stride: int = 3  # px
    grid_channels: int = 32
    encoder: EncoderConfig = field(
        default_factory=lambda: EncoderConfig(num_views=100_000, parts=2, standardise=True)
    )
    imitation: ImitationConfig = field(
        default_factory=lambda: ImitationConfig(
            num_epochs=10, sorted_batches=16, feature_dropout=0.2
        )
    )

    def __post_init__(self) -> None:
        for name in ("num_train_houses", "num_val_houses", "num_demonstrations",
                     "num_eval_episodes", "num_envs", "max_steps"):  # fmt: skip
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(0.0 <= self.noise < 1.0, "noise", self.noise, "use 0 to below 1")
        check_seed(self.seed)
        check_torch_threads(self.num_threads)
        _ = self.joint, self.image  # refuse unknown tasks and impossible numbers

    def resolved(self) -> "ImitateConfig":
        """The config with --quick spelled out."""
        if not self.quick:
            return self
        return replace(
            self, num_train_houses=4, num_val_houses=2, num_demonstrations=6, num_eval_episodes=4,
            num_envs=4, encoder=replace(self.encoder, num_views=64, batch_size=16),
            imitation=replace(self.imitation, num_epochs=2),
        )  # fmt: skip

    @property
    def all_types(self) -> tuple[str, ...]:
        """What the image encoder learns to tell apart."""
        return (*self.goal_types, *self.pickup_types)

    @property
    def joint(self) -> TaskConfig:
        """All tasks together, as the policy knows them."""
        return self._config(self.tasks, self.all_types)

    def task(self, name: str) -> TaskConfig:
        """Episodes of one task."""
        return self._config((name,), self.goal_types if name in _SEEKING else self.pickup_types)

    def _config(self, names: tuple[str, ...], types: tuple[str, ...]) -> TaskConfig:
        sampler = SamplerConfig(
            target_types=types, max_distance=self.max_distance,
            max_start_turn_deg=self.max_start_turn_deg,
        )  # fmt: skip
        return TaskConfig(names=names, max_steps=self.max_steps, sampler=sampler)

    @property
    def world(self) -> WorldConfig:
        """Worlds of every stage, with all the actions that any of the tasks needs."""
        world = WorldConfig(
            num_envs=self.num_envs, num_threads=self.num_threads, camera=self.camera
        )
        return world.for_tasks(self.joint.build())

    @property
    def image(self) -> ImageEncoderConfig:
        """The policy's image encoder; refuses impossible sizes."""
        return ImageEncoderConfig(
            height=self.camera.height, width=self.camera.width,
            num_cameras=self.camera.num_cameras, channels=self.channels,
            first_kernel=2 * self.first_stride, first_stride=self.first_stride,
            grid_channels=self.grid_channels,
        )  # fmt: skip

    @property
    def generator(self) -> GeneratorConfig:
        """Flats of two rooms, sparsely furnished, each with every type to find and to take."""
        return GeneratorConfig(
            style="plain",
            num_rooms=(2, 2),
            room_area={"LivingRoom": (10.0, 16.0), "Bedroom": (9.0, 14.0)},
            goal_types=self.all_types,
            num_goal_types=len(self.all_types),
            furniture_density=0.4,
            small_object_density=0.4,
            half_open_doors=0.0,
            ceiling_height=(2.4, 3.2),
        )


class Imitation:
    """The stages over one run folder; each looks first whether its result is there already."""

    def __init__(
        self, config: ImitateConfig, run: RunFolder, console: Console, stop: StopFlag
    ) -> None:
        self.config, self.run, self.console, self.stop = config, run, console, stop
        self.files = {
            split: run.path / "houses" / f"{split}.jsonl.gz" for split in ("train", "val")
        }
        self.houses: dict[str, list[House]] = {}

    def run_all(self) -> bool:
        """Every stage in turn; False when someone asked to stop on the way."""
        stages: tuple[Callable[[], None], ...] = (
            self.prepare_houses,
            self.pretrain,
            *(lambda name=name: self.evaluate(name) for name in self.config.tasks),
        )
        for stage in stages:
            stage()
            if self.stop.requested:
                return False
        return True

    def prepare_houses(self) -> None:
        """Write the houses of both splits into the run folder and load them."""
        config = self.config
        make_directory(self.run.path / "houses")
        counts = {"train": config.num_train_houses, "val": config.num_val_houses}
        for split, path in self.files.items():
            if not path.exists():
                generate_stage(
                    path, counts[split], split, config.seed, config.generator,
                    num_workers=config.world.threads, console=self.console,
                    should_stop=self._should_stop,
                )  # fmt: skip
            if self.stop.requested:
                return
            self.houses[split] = load_house_file(path, num_threads=config.world.threads)

    def pretrain(self) -> None:
        """Image encoder, demonstrations, imitation; the result is the run's checkpoint."""
        config = self.config
        work = Pretraining(
            agent=make_agent(
                config.world, config.joint, config.all_types, image=config.image
            ),
            encoder=config.encoder, imitation=config.imitation, goal_types=config.all_types,
            seed=config.seed, folder=self.run.path, recipe=config,
            should_stop=self._should_stop,
        )  # fmt: skip
        work.run(self._views, self._encoded, self.run, self.console)

    def _encoded(self, policy: Policy) -> EncodedDemonstrations | None:
        """Demonstrations of all tasks; None when stopped."""
        parts = [self._demonstrations(name, policy) for name in self.config.tasks]
        whole = [part for part in parts if part is not None]
        return EncodedDemonstrations.join(whole) if len(whole) == len(parts) else None

    def _views(self, grid: tuple[int, int]) -> TurnsOfViews:
        """Views from anywhere, and as many along the expert's ways, of each task in turn."""
        config, houses = self.config, self.houses["train"]
        world = replace(config.world, num_envs=config.encoder.batch_size)
        anywhere = views_anywhere(
            houses, world, config.joint, config.encoder, config.all_types, config.seed + 1, grid
        )
        walked = [
            WalkedViews(
                make_worlds(houses, world), houses,
                make_sampler(houses, config.task(name), config.seed + 4 + i), config.all_types,
                grid,
            )
            for i, name in enumerate(config.tasks)
        ]  # fmt: skip
        return TurnsOfViews(anywhere, TurnsOfViews(*walked))

    def _demonstrations(self, name: str, policy: Policy) -> EncodedDemonstrations | None:
        """Those of one task, from its file if it is there; None when stopped."""
        path = self.run.path / "demonstrations" / f"{name}.npz"
        if path.exists():
            return EncodedDemonstrations.load(path)
        config, houses = self.config, self.houses["train"]
        worlds = make_worlds(houses, config.world)
        sampler = make_sampler(houses, config.task(name), config.seed)
        parts: list[EncodedDemonstrations] = []
        total = config.num_demonstrations
        with self.console.stage(f"{name} demonstrations", total=total, unit="episodes") as stage:
            for first in range(0, total, _AT_ONCE):
                result = collect_demonstrations(
                    worlds, sampler, min(_AT_ONCE, total - first), first=first,
                    noise=config.noise, on_episode=lambda _: stage.update(advance=1),
                    should_stop=self._should_stop,
                )  # fmt: skip
                if self.stop.requested:
                    return None
                parts.append(EncodedDemonstrations.of(policy, result.demonstrations, np.float16))
        joined = EncodedDemonstrations.join(parts)
        make_directory(path.parent)
        joined.save(path)
        return joined

    def evaluate(self, name: str) -> None:
        """Evaluate one task on its frozen episodes, which the first call draws."""
        config, houses = self.config, self.houses["val"]
        frozen = frozen_stage(
            self.run.path / "eval" / f"{name}.episodes.jsonl", config.num_eval_episodes, houses,
            self.files["val"], config.world, config.task(name), config.seed + 2,
            console=self.console, should_stop=self._should_stop,
        )  # fmt: skip
        if frozen is not None:
            evaluation_stage(
                self.run, name, self.run.path, frozen, houses, config.world, config.task(name),
                config.seed, console=self.console, should_stop=self._should_stop,
            )  # fmt: skip

    def _should_stop(self) -> bool:
        return self.stop.requested


def run_imitate(config: ImitateConfig) -> int:
    """``flare imitate``."""
    with StopFlag() as stop:
        if config.resume is not None:
            run = RunFolder.open(config.resume)
            return _play(load_config(run.config, ImitateConfig), run, stop)
        config = config.resolved()
        run = RunFolder.create(config.runs, config.name, prefix="imitate")
        run.describe(config, make_manifest(recipe="imitate", seed=config.seed, inputs={}))
        with run.removed_if_unused():
            return _play(config, run, stop)


def _play(config: ImitateConfig, run: RunFolder, stop: StopFlag) -> int:
    """The stages that are left of a run; returns the exit code."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    begin, cpu = time.monotonic(), time.process_time()
    with Console("flare imitate") as console:
        tell_if_missing(console.message)
        finished = Imitation(config, run, console, stop).run_all()
        # An interrupted run took the sum of its parts.
        manifest = run.read_manifest()
        spent = {"seconds": time.monotonic() - begin, "cpu_seconds": time.process_time() - cpu}
        total = {name: round(manifest.get(name, 0.0) + value, 1) for name, value in spent.items()}
        write_json(run.manifest, {**manifest, **total})
        if finished:
            console.message(f"saved {run.latest}; results in {run.path / 'eval'}")
        else:
            console.message(
                f"stopped by {stop.reason}; go on with: flare imitate --resume {run.path}"
            )
    return 0 if finished else 130
