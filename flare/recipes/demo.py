"""``flare demo``: the whole loop on the embedded simulator, from houses to a report.

Houses, expert demonstrations, image encoder, imitation, evaluation, PPO, evaluation, report. Every
stage leaves its result in the run folder, so an interrupted demo goes on with ``--resume``.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from flare.agent import load_agent
from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_torch_threads,
    load_house_file,
    make_sampler,
    make_worlds,
)
from flare.atomic import make_directory, write_json
from flare.checkpoint import load_checkpoint
from flare.config import load_config
from flare.console import Console
from flare.errors import UserError, require
from flare.houses.files import read_houses, write_houses
from flare.houses.generator import GeneratorConfig
from flare.imitation.demonstrations import collect_demonstrations
from flare.imitation.encoded import EncodedDemonstrations
from flare.ppo.config import PPOConfig, demo_preset
from flare.recipes.encoder import EncoderConfig, views_anywhere
from flare.recipes.finetune_config import FinetuneConfig
from flare.recipes.finetuner import Finetuner
from flare.recipes.imitate import ImitationConfig
from flare.recipes.pretrain import make_agent
from flare.recipes.pretraining import Pretraining
from flare.recipes.stages import evaluation_stage, frozen_stage, generate_stage
from flare.report import build_report
from flare.rng import check_seed
from flare.rollout.collector import CollectorConfig
from flare.run_folder import RunFolder, file_hashes, make_manifest
from flare.signals import StopFlag
from flare.tasks.sampler import SamplerConfig
from flare.tensorboard import tell_if_missing
from flare.worlds.embedded import House

# Kinds of goal that differ in shape, size and colour enough to be told apart in small frames.
GOAL_TYPES = ("Bed", "HousePlant", "Sofa", "Television", "Toilet")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """Configuration of ``flare demo``."""

    quick: bool = False  # run every stage, briefly; learns little
    houses: Path | None = None  # real houses to train in; generated ones without it
    val_houses: Path | None = None  # houses to evaluate in; default: see find_val_houses
    runs: Path = Path("runs")  # folder of runs
    name: str | None = None  # of the run; None: the time
    seed: int = 0
    resume: Path | None = None  # run folder to go on with
    num_threads: int = 0  # of PyTorch; 0: one per core
    num_train_houses: int = 300
    num_val_houses: int = 60
    num_demonstrations: int = 3000  # expert episodes
    num_eval_episodes: int = 200
    goal_types: tuple[str, ...] = GOAL_TYPES
    max_steps: int = 100
    max_distance: float = 3.0  # m to walk from the start until the goal is within 2 m
    max_start_turn_deg: float = 30.0  # a start looks at most this far away from its goal
    num_envs: int = 64
    assets: Path | None = None  # pack of `flare assets build`; None: proxies for Objaverse objects
    finetune_steps: int = 600_000
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    ppo: PPOConfig = field(default_factory=demo_preset)
    collector: CollectorConfig = field(default_factory=CollectorConfig)

    def __post_init__(self) -> None:
        for name in ("num_train_houses", "num_val_houses", "num_demonstrations",
                     "num_eval_episodes", "num_envs", "finetune_steps"):  # fmt: skip
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.max_steps >= 1, "max_steps", self.max_steps, "use at least 1")
        require(len(self.goal_types) > 0, "goal_types", self.goal_types, "name at least one")
        check_seed(self.seed)
        check_torch_threads(self.num_threads)
        _ = self.task  # refuses the episodes' numbers

    def resolved(self) -> "DemoConfig":
        """The config with --quick spelled out."""
        if not self.quick:
            return self
        return replace(
            self, num_train_houses=24, num_val_houses=8, num_demonstrations=60,
            num_eval_episodes=20, num_envs=16, finetune_steps=8192,
            encoder=replace(self.encoder, num_views=2048),
            imitation=replace(self.imitation, num_epochs=2),
        )  # fmt: skip

    @property
    def task(self) -> TaskConfig:
        """The demo's tasks with its goals and step limit."""
        return TaskConfig(
            max_steps=self.max_steps,
            sampler=SamplerConfig(
                target_types=self.goal_types,
                min_distance=1.0,
                max_distance=self.max_distance,
                max_start_turn_deg=self.max_start_turn_deg,
            ),
        )

    @property
    def world(self) -> WorldConfig:
        """Worlds of every stage."""
        return WorldConfig(num_envs=self.num_envs, assets=self.assets).for_tasks(self.task.build())


class Demo:
    """The stages over one run folder; each looks first whether its result is there already."""

    def __init__(
        self, config: DemoConfig, run: RunFolder, console: Console, stop: StopFlag
    ) -> None:
        self.config, self.run, self.console, self.stop = config, run, console, stop
        self.train_file = run.path / "houses" / "train.jsonl.gz"
        self.val_file = run.path / "houses" / "val.jsonl.gz"
        self.pretrained = run.path / "pretrain"
        self.train_houses: list[House] = []
        self.val_houses: list[House] = []

    def run_all(self) -> bool:
        """Every stage in turn; False when someone asked to stop on the way."""
        stages: tuple[Callable[[], None], ...] = (
            self.prepare_houses,
            self.pretrain,
            lambda: self.evaluate("before", self.pretrained),
            self.finetune,
            lambda: self.evaluate("after", self.run.path),
        )
        for stage in stages:
            stage()
            if self.stop.requested:
                return False
        return True

    def prepare_houses(self) -> None:
        """Write the houses of both splits into the run folder and load them."""
        config = self.config
        make_directory(self.train_file.parent)
        for path, source, split, count in (
            (self.train_file, config.houses, "train", config.num_train_houses),
            (self.val_file, find_val_houses(config), "val", config.num_val_houses),
        ):
            if path.exists():
                continue
            if source is None:
                generate_stage(
                    path, count, split, config.seed, generator_config(config),
                    num_workers=config.world.threads, console=self.console,
                    should_stop=lambda: self.stop.requested,
                )  # fmt: skip
            else:
                documents = [json.loads(text) for _, text in read_houses(source, limit=count)]
                write_houses(path, documents)
            if self.stop.requested:
                return
        self.train_houses, self.val_houses = (
            load_house_file(file, num_threads=config.world.threads, assets=config.assets)
            for file in (self.train_file, self.val_file)
        )

    def pretrain(self) -> None:
        """Demonstrations, encoder and imitation; the result is a checkpoint."""
        if (self.pretrained / "latest").exists():
            return
        config = self.config
        with self.console.stage(
            "demonstrations", total=config.num_demonstrations, unit="episodes"
        ) as stage:
            result = collect_demonstrations(
                make_worlds(self.train_houses, config.world),
                make_sampler(self.train_houses, config.task, config.seed),
                config.num_demonstrations, on_episode=lambda _: stage.update(advance=1),
                should_stop=lambda: self.stop.requested,
            )  # fmt: skip
        if self.stop.requested:
            return
        work = Pretraining(
            agent=make_agent(config.world, config.task, config.goal_types),
            encoder=config.encoder, imitation=config.imitation, goal_types=config.goal_types,
            seed=config.seed, folder=self.pretrained, recipe=config,
            should_stop=lambda: self.stop.requested,
        )  # fmt: skip
        views = partial(
            views_anywhere, self.train_houses, config.world, config.task, config.encoder,
            config.goal_types, config.seed + 1,
        )  # fmt: skip
        data = result.demonstrations
        work.run(
            views, lambda policy: EncodedDemonstrations.of(policy, data), self.run, self.console
        )

    def evaluate(self, name: str, checkpoint: Path) -> None:
        """Evaluate a checkpoint on the frozen episodes, which the first call draws."""
        config = self.config
        frozen = frozen_stage(
            self.run.path / "eval" / "episodes.jsonl", config.num_eval_episodes, self.val_houses,
            self.val_file, config.world, config.task, config.seed + 2, console=self.console,
            should_stop=lambda: self.stop.requested,
        )  # fmt: skip
        if frozen is not None:
            evaluation_stage(
                self.run, name, checkpoint, frozen, self.val_houses, config.world, config.task,
                config.seed, console=self.console, should_stop=lambda: self.stop.requested,
            )  # fmt: skip

    def finetune(self) -> None:
        """PPO from the imitated policy, or on from its last checkpoint."""
        config = self.config
        settings = FinetuneConfig(
            checkpoint=self.pretrained, houses=self.train_file, runs=config.runs,
            name=self.run.name, seed=config.seed + 3, total_steps=config.finetune_steps,
            num_threads=config.num_threads, world=config.world, task=config.task,
            collector=config.collector, ppo=config.ppo,
        )  # fmt: skip
        agent, policy, _ = load_agent(self.pretrained)
        tuner = Finetuner(
            agent=agent, policy=policy, houses=self.train_houses, config=settings, run=self.run
        )
        if (self.run.path / "latest").exists():
            tuner.resume(load_checkpoint(self.run.path))
        else:
            tuner.start()
        with (
            contextlib.closing(tuner),
            self.console.stage("finetune", total=config.finetune_steps, unit="steps") as stage,
        ):
            tuner.train(stage, lambda: self.stop.requested)


def generator_config(config: DemoConfig) -> GeneratorConfig:
    """Small flats of two rooms, sparsely furnished, that hold every goal type."""
    return GeneratorConfig(
        style="plain",
        num_rooms=(2, 2),
        room_area={"LivingRoom": (10.0, 16.0), "Bedroom": (9.0, 14.0)},
        goal_types=config.goal_types,
        num_goal_types=len(config.goal_types),
        furniture_density=0.4,
        small_object_density=0.4,
        half_open_doors=0.0,
        ceiling_height=(2.4, 3.2),
    )


def find_val_houses(config: DemoConfig) -> Path | None:
    """Where to evaluate: --val-houses, or the 'val' file beside the 'train' file.

    Raises:
        UserError: real houses to train in, but none to evaluate in.
    """
    if config.val_houses is not None or config.houses is None:
        return config.val_houses
    beside = config.houses.with_name(config.houses.name.replace("train", "val"))
    if beside == config.houses or not beside.exists():
        raise UserError(
            f"no file of unseen houses beside {config.houses}",
            key="val_houses",
            mend="give --val-houses FILE",
        )
    return beside


def new_run(config: DemoConfig) -> RunFolder:
    """The folder of a new demo, made when its houses have been looked at.

    Raises:
        UserError, HouseFormatError: a house file is not as it should be, or the run exists.
    """
    files = ((config.houses, config.num_train_houses),
             (find_val_houses(config), config.num_val_houses))  # fmt: skip
    given = [(path, count) for path, count in files if path is not None]
    for path, count in given:
        load_house_file(path, limit=count, num_threads=config.world.threads, assets=config.assets)
    inputs = file_hashes(path for path, _ in given)
    run = RunFolder.create(config.runs, config.name, prefix="demo")
    run.describe(config, make_manifest(recipe="demo", seed=config.seed, inputs=inputs))
    return run


def run_demo(config: DemoConfig) -> int:
    """``flare demo``."""
    with StopFlag() as stop:
        if config.resume is not None:
            run = RunFolder.open(config.resume)
            return _play(load_config(run.config, DemoConfig), run, stop)
        config = config.resolved()
        run = new_run(config)
        with run.removed_if_unused():
            return _play(config, run, stop)


def _play(config: DemoConfig, run: RunFolder, stop: StopFlag) -> int:
    """The stages that are left of a run; returns the exit code."""
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    begin = time.monotonic()
    with Console("flare demo") as console:
        tell_if_missing(console.message)
        finished = Demo(config, run, console, stop).run_all()
        # An interrupted demo took the sum of its parts.
        manifest = run.read_manifest()
        seconds = manifest.get("seconds", 0.0) + time.monotonic() - begin
        write_json(run.manifest, {**manifest, "seconds": round(seconds, 1)})
        if finished:
            console.message(f"report: {build_report(run.path)}")
        else:
            console.message(f"stopped by {stop.reason}; go on with: flare demo --resume {run.path}")
    return 0 if finished else 130
