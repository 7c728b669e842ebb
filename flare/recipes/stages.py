"""Stages that several recipes have in common, each shown by the console and able to stop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flare.agent import load_agent
from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.atomic import make_directory
from flare.console import Console
from flare.evaluation.evaluate import FrozenEpisodes, evaluate_policy, freeze_episodes
from flare.evaluation.records import load_frozen, save_frozen, write_evaluation
from flare.houses.generator import GeneratorConfig, generate_houses
from flare.run_folder import RunFolder
from flare.worlds.embedded import House

_NUM_TRACES = 24  # evaluation episodes of which frames are kept to choose the videos from


def generate_stage(
    path: Path, count: int, split: str, seed: int, config: GeneratorConfig, *,
    num_workers: int, console: Console, should_stop: Callable[[], bool],
) -> None:  # fmt: skip
    """Write a file of generated houses; when stopped there is none."""
    with console.stage(f"{split} houses", total=count, unit="houses") as stage:
        generate_houses(
            path, count=count, split=split, seed=seed, config=config, num_workers=num_workers,
            progress=lambda _: stage.update(advance=1), should_stop=should_stop,
        )  # fmt: skip


def frozen_stage(
    path: Path, count: int, houses: list[House], house_file: Path, world: WorldConfig,
    task: TaskConfig, seed: int, *, console: Console, should_stop: Callable[[], bool],
) -> FrozenEpisodes | None:  # fmt: skip
    """Evaluation episodes: drawn once, then read from their file; None when stopped."""
    if not path.exists():
        make_directory(path.parent)
        still = replace(task.sampler, camera_noise=False, randomise=())
        sampler = make_sampler(houses, replace(task, sampler=still), seed)
        with console.stage("evaluation episodes", total=count, unit="episodes") as stage:
            frozen = freeze_episodes(
                make_worlds(houses, world), sampler, count,
                on_episode=lambda _: stage.update(advance=1), should_stop=should_stop,
            )  # fmt: skip
        if frozen is None:
            return None
        save_frozen(path, frozen, house_file, houses, task.build())
    return load_frozen(path, house_file, task.build())


def evaluation_stage(
    run: RunFolder, name: str, checkpoint: Path, frozen: FrozenEpisodes, houses: list[House],
    world: WorldConfig, task: TaskConfig, seed: int, *, console: Console,
    should_stop: Callable[[], bool],
) -> None:  # fmt: skip
    """Sampled (the headline, as in the original) and greedy evaluation of a checkpoint."""
    agent, policy, _ = load_agent(checkpoint)
    worlds = make_worlds(houses, world)
    for greedy in (False, True):
        stage_name = f"{name}_greedy" if greedy else name
        if run.evaluation(stage_name).exists() or should_stop():
            continue
        with console.stage(
            f"evaluate {stage_name.replace('_', ' ')}", total=len(frozen.expert_lengths),
            unit="episodes",
        ) as stage:  # fmt: skip
            result = evaluate_policy(
                policy, worlds, task.build(), frozen, agent.vocabulary(), stage=stage_name,
                split="val", houses=houses, seed=seed, greedy=greedy,
                num_traces=0 if greedy else _NUM_TRACES,
                on_episode=lambda _: stage.update(advance=1), should_stop=should_stop,
            )  # fmt: skip
        if result is None:
            return
        write_evaluation(run, stage_name, result, agent.action_names)
        console.message(f"{stage_name}: {result.success_rate:.1%} success")
