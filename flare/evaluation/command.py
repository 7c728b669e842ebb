"""``flare eval``: a checkpoint on frozen episodes, with intervals."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from flare.agent import load_agent
from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_device,
    load_house_file,
    make_sampler,
    make_worlds,
    open_worlds,
)
from flare.atomic import make_directory
from flare.console import Console
from flare.errors import require
from flare.evaluation.evaluate import FrozenEpisodes, evaluate_policy, freeze_episodes
from flare.evaluation.records import load_frozen, save_frozen, write_evaluation
from flare.evaluation.statistics import required_episodes
from flare.evaluation.summary import Summary
from flare.replay.log import HouseSource, LogHeader, LogRecorder
from flare.rng import check_seed
from flare.robots import load_robot
from flare.run_folder import RunFolder, check_name
from flare.signals import StopFlag
from flare.tasks.mixture import TaskMixture
from flare.tasks.task import TRAINING_STEPS
from flare.worlds.embedded import House
from flare.worlds.thor.worlds import ThorWorlds


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Configuration of ``flare eval``."""

    checkpoint: Path  # run or checkpoint folder
    houses: Path  # house file to evaluate in
    which: Literal["latest", "best"] = "latest"  # checkpoint of a run
    episodes: Path | None = None  # frozen episode file; drawn and written beside the results if new
    num_episodes: int = 200  # when the episodes are drawn; of task specs at most all
    name: str = "eval"  # of the results: <out>/eval/<name>.jsonl
    out: Path | None = None  # folder for results; default: the checkpoint's run
    # Play nothing; say how many episodes make success known to this half width, such as 0.05.
    plan: float | None = None
    seed: int = 0
    greedy: bool = False  # the mode of the policy instead of samples
    device: Literal["cpu", "cuda"] = "cpu"  # where the policy acts
    precision: Literal["float32", "bfloat16"] = "float32"  # what it computes in
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)

    def __post_init__(self) -> None:
        require(self.num_episodes >= 1, "num_episodes", self.num_episodes, "use at least 1")
        check_name(self.name)
        if self.plan is not None:
            require(0 < self.plan < 0.5, "plan", self.plan, "use a share between 0 and 0.5")
        check_device(self.device)
        check_seed(self.seed)


def run_evaluate(config: EvaluateConfig) -> int:
    """``flare eval``."""
    if config.plan is not None:
        count = required_episodes(config.plan)
        print(f"--num-episodes {count}: success known to ±{100 * config.plan:g} points (95 %)")
        return 0
    agent, policy, checkpoint = load_agent(config.checkpoint, which=config.which)
    policy.to(config.device, getattr(torch, config.precision))
    world = replace(config.world, camera=agent.camera, action_names=agent.action_names)
    sampler = replace(config.task.sampler, camera_noise=False, randomise=())
    # Trained with the original's limit means evaluated with the original's, which are longer.
    limit = 0 if agent.max_steps == TRAINING_STEPS else agent.max_steps
    task = replace(config.task, max_steps=config.task.max_steps or limit, sampler=sampler)
    config = replace(config, world=world, task=task)
    mixture = task.build(is_evaluation=True)
    mixture.check_actions(agent.action_names)
    houses = load_house_file(config.houses, num_threads=world.threads, assets=world.assets)
    run = RunFolder(config.out or _run_of(config.checkpoint))
    with Console("eval") as console, StopFlag() as stop:
        frozen = _episodes(config, mixture, houses, run, console, lambda: stop.requested)
        if frozen is None:
            return _stopped(console, stop)
        total = len(frozen.expert_lengths)
        worlds, recorder = open_worlds(houses, world, config.houses), LogRecorder()
        if isinstance(worlds, ThorWorlds):
            console.message(worlds.devices_text())
        with (
            contextlib.closing(worlds),
            console.stage("evaluate", total=total, unit="episodes") as stage,
        ):
            result = evaluate_policy(
                policy, worlds, mixture, frozen,
                agent.vocabulary(checkpoint.processors),
                stage=config.name, split="val", seed=config.seed, greedy=config.greedy,
                houses=houses,
                on_episode=lambda _: stage.update(advance=1), recorder=recorder,
                should_stop=lambda: stop.requested,
            )  # fmt: skip
        if result is None:
            return _stopped(console, stop)
        header = LogHeader.of(
            HouseSource.of_file(config.houses, world.assets),
            load_robot("stretch"), world.camera, world.action_names,
        )  # fmt: skip
        successes = {record["episode"]: record["success"] for record in result.records}
        log = recorder.log(header, frozen.episodes, houses, successes)
        make_directory(run.evaluation(config.name).parent)
        log.write(run.path / "eval" / f"{config.name}.log.jsonl")
        summary = write_evaluation(run, config.name, result, agent.action_names)
        console.message(f"{run.evaluation(config.name)}: {_success(summary)}")
        if len(summary["by_task"]) > 1:
            for group in summary["by_task"]:
                console.message(f"  {group['key']}: {_success(group)}")
    return 0


def _run_of(checkpoint: Path) -> Path:
    """The run that a checkpoint's folder belongs to; a folder elsewhere is its own."""
    folder = checkpoint.resolve()
    return folder.parents[1] if folder.parent.name == "checkpoints" else checkpoint


def _stopped(console: Console, stop: StopFlag) -> int:
    console.message(f"stopped by {stop.reason}; nothing was written, start the evaluation again")
    return 130


def _success(summary: Summary) -> str:
    success = summary["success"]
    return (
        f"success {success['rate']:.1%} [{success['low']:.1%}, {success['high']:.1%}] "
        f"of {success['n']} episodes"
    )


def _episodes(
    config: EvaluateConfig, mixture: TaskMixture, houses: list[House], run: RunFolder,
    console: Console, should_stop: Callable[[], bool],
) -> FrozenEpisodes | None:  # fmt: skip
    path = config.episodes or run.path / "eval" / f"{config.name}.episodes.jsonl"
    if not path.exists():
        sampler = make_sampler(houses, config.task, config.seed, mixture=mixture)
        count = min(config.num_episodes, sampler.count_distinct() or config.num_episodes)
        with console.stage("evaluation episodes", total=count) as stage:
            frozen = freeze_episodes(
                make_worlds(houses, replace(config.world, kind="embedded")), sampler, count,
                on_episode=lambda _: stage.update(advance=1), should_stop=should_stop,
            )  # fmt: skip
        if frozen is None:
            return None
        make_directory(path.parent)
        save_frozen(path, frozen, config.houses, houses, mixture)
    return load_frozen(path, config.houses, mixture)
