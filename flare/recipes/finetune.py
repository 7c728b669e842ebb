"""``flare finetune``: a new run or an old one, by one process or by several."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import torch

from flare.agent import AgentConfig, load_agent
from flare.assembly import (
    load_house_file,
)
from flare.checkpoint import load_checkpoint
from flare.config import from_dict
from flare.console import Console
from flare.errors import UserError
from flare.ranks import RESTARTS, Ranks
from flare.recipes.finetune_config import FinetuneConfig, with_preset
from flare.recipes.finetuner import Finetuner
from flare.run_folder import RunFolder, file_hashes, make_manifest
from flare.signals import StopFlag
from flare.tensorboard import tell_if_missing
from flare.worlds.thor.worlds import ThorWorlds


def _new_run(config: FinetuneConfig, ranks: Ranks) -> tuple[Finetuner, FinetuneConfig]:
    if config.checkpoint is None or config.houses is None:
        missing = "checkpoint" if config.checkpoint is None else "houses"
        raise UserError(
            "is missing", key=missing, mend="give --checkpoint and --houses, or --resume RUN"
        )
    house_file = config.houses
    agent, policy, checkpoint = load_agent(config.checkpoint)
    config = replace(
        config,
        world=replace(config.world, camera=agent.camera, action_names=agent.action_names),
        task=replace(config.task, max_steps=agent.max_steps),
    )
    config.task.build().check_actions(agent.action_names)
    houses = load_house_file(
        house_file,
        limit=config.max_houses,
        num_threads=config.world.threads,
        assets=config.world.assets,
    )
    with contextlib.ExitStack() as stack:
        run = _shared_folder(config, ranks)
        if ranks.rank == 0:
            stack.enter_context(run.removed_if_unused())
            inputs = file_hashes([house_file])
            run.describe(config, make_manifest(recipe="finetune", seed=config.seed, inputs=inputs))
        tuner = Finetuner(
            agent=agent, policy=policy, houses=houses, config=config, run=run,
            processors=checkpoint.processors, ranks=ranks,
        )  # fmt: skip
        tuner.start()
        if ranks.count > 1:
            tuner.save()  # what a restart goes on from
    return tuner, config


def _shared_folder(config: FinetuneConfig, ranks: Ranks) -> RunFolder:
    """The folder that the first process makes and all know."""
    own: RunFolder | None = None
    if ranks.rank == 0:
        own = RunFolder.create(config.runs, config.name, prefix="finetune")
    run = ranks.gather(own)[0]
    assert run is not None  # the first process either made it or is gone
    return run


def _resumed_run(path: Path, ranks: Ranks) -> tuple[Finetuner, FinetuneConfig]:
    run = RunFolder.open(path)
    checkpoint = load_checkpoint(run.path)
    if checkpoint.stage != "finetune":
        raise UserError(
            f"its last checkpoint is of stage {checkpoint.stage!r}",
            file=path,
            mend=f"start from its weights: flare finetune --checkpoint {path}",
        )
    config = from_dict(checkpoint.recipe, FinetuneConfig, file=path)
    agent = from_dict(checkpoint.policy, AgentConfig, file=path)
    if config.houses is None:
        raise UserError("is missing", key="recipe.houses", file=path, mend="restore the run")
    houses = load_house_file(
        config.houses,
        limit=config.max_houses,
        num_threads=config.world.threads,
        assets=config.world.assets,
    )
    tuner = Finetuner(
        agent=agent, policy=agent.build(), houses=houses, config=config, run=run,
        processors=checkpoint.processors, ranks=ranks,
    )  # fmt: skip
    try:
        tuner.resume(checkpoint)
    except UserError as error:
        raise error.at(file=path) from error
    return tuner, config


def run_finetune(config: FinetuneConfig) -> int:
    """``flare finetune``: a new run from a checkpoint, or an old one with --resume.

    Under torchrun every process has its own worlds, and the first one speaks and writes.
    """
    config, ranks = with_preset(config), Ranks.of_environment()
    with ranks.joined(config.device):
        return _run(config, ranks)


def _restarted(config: FinetuneConfig) -> Path | None:
    """The run that torchrun starts again after one of its processes has died; None the first time.

    Raises:
        UserError: without a name nobody knows which it is.
    """
    if int(os.environ.get(RESTARTS, "0")) == 0:
        return None
    if config.name is None:
        raise UserError(
            "is missing, so a restarted run is not found",
            key="name",
            mend="give --name, or start again with --resume RUN",
        )
    run = config.runs / config.name
    return run if (run / "latest").exists() else None


def _run(config: FinetuneConfig, ranks: Ranks) -> int:
    resume = config.resume or _restarted(config)
    tuner, config = _resumed_run(resume, ranks) if resume else _new_run(config, ranks)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    with (
        open(os.devnull, "w") as nowhere,
        Console("finetune", file=nowhere if ranks.rank else None) as console,
        StopFlag() as stop,
    ):
        tell_if_missing(console.message)
        console.message(tuner.byte_plan())
        if isinstance(tuner.worlds, ThorWorlds):
            console.message(tuner.worlds.devices_text())
        with (
            contextlib.closing(tuner),
            console.stage("finetune", total=config.total_steps, unit="steps") as stage,
        ):
            finished = tuner.train(stage, lambda: stop.requested)
        console.message(f"saved {tuner.run.path / 'latest'}")
        if not finished:
            console.message(f"stopped by {stop.reason}; go on with: {resume_command(tuner.run)}")
    return 0 if finished else 130


def resume_command(run: RunFolder) -> str:
    """What to type to go on."""
    return f"flare finetune --resume {run.path}"
