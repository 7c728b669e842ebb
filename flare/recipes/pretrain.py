"""Pre-training: an image encoder from free labels, then imitation of the expert."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from flare.agent import AgentConfig, load_agent
from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_limit,
    check_torch_threads,
    load_house_file,
)
from flare.checkpoint import load_checkpoint
from flare.config import load_config
from flare.console import Console
from flare.errors import UserError
from flare.imitation.demonstrations import Demonstrations
from flare.imitation.encoded import EncodedDemonstrations
from flare.policy.config import ImageEncoderConfig, small_preset
from flare.ranks import Ranks
from flare.recipes.clone_run import CloneRun, open_windows
from flare.recipes.cloning import Cloner, CloningConfig
from flare.recipes.encoder import EncoderConfig, views_anywhere
from flare.recipes.imitate import ImitationConfig
from flare.recipes.pretraining import Pretraining
from flare.rng import check_seed
from flare.run_folder import RunFolder, file_hashes, make_manifest
from flare.signals import StopFlag
from flare.tasks.instructions import split_words
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tensorboard import tell_if_missing

Critic = Literal["tower", "facts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """Configuration of ``flare pretrain``."""

    # File of flare collect, or a folder of trajectories in the published layout.
    demonstrations: Path | None = None
    # Policy to start from, a run or checkpoint folder, such as a new one of flare import --preset:
    # it learns by the section cloning. None: a small policy learns by the sections encoder and
    # imitation from a file.
    checkpoint: Path | None = None
    resume: Path | None = None  # run to go on with; its own config counts, not this one
    # House file that the demonstrations come from; views for the small policy's encoder.
    houses: Path | None = None
    max_houses: int | None = None
    runs: Path = Path("runs")
    name: str | None = None
    seed: int = 0
    num_threads: int = 0  # of PyTorch; 0: one per core
    critic: Critic = "facts"  # what values are computed from; "tower": images, as the original
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    cloning: CloningConfig = field(default_factory=CloningConfig)

    def __post_init__(self) -> None:
        check_limit(self.max_houses)
        check_seed(self.seed)
        check_torch_threads(self.num_threads)


def make_agent(
    world: WorldConfig, task: TaskConfig, goal_types: tuple[str, ...], critic: Critic = "facts",
    *, image: ImageEncoderConfig | None = None,
) -> AgentConfig:  # fmt: skip
    """The small agent for these tasks, goals, actions and cameras.

    image: the image encoder, for the world's cameras; None: small_preset's.
    """
    mixture = task.build()
    vocabulary = mixture.vocabulary(goal_types)
    network = small_preset(
        camera=world.camera,
        num_actions=len(world.action_names),
        vocab_size=len(vocabulary),
        num_facts=NUM_PRIVILEGED,
        critic=critic,
        sees_hand=mixture.uses_arm,
        num_places=vocabulary.max_words if mixture.word_order_matters else 0,
    )
    if image is not None:
        network = replace(network, image=image)
    return AgentConfig(
        network=network,
        words=vocabulary.words,
        action_names=world.action_names,
        camera=world.camera,
        max_steps=mixture.max_steps,
        max_words=vocabulary.max_words,
    )


def check_demonstrations(demonstrations: Demonstrations, agent: AgentConfig, file: Path) -> None:
    """Refuse demonstrations that this agent cannot learn from.

    Raises:
        UserError: frames of another shape, or an instruction with a word that the agent lacks.
    """
    demonstrations.check_frames(agent.camera.frame_shape, file)
    known = set(agent.words)
    for sentence in demonstrations.instructions:
        unknown = [word for word in split_words(sentence) if word not in known]
        if unknown:
            raise UserError(
                f"holds the instruction {sentence!r} with the unknown word {unknown[0]!r}",
                file=file,
                mend="name all types of its goals in task.sampler.target_types",
            )


def run_pretrain(config: PretrainConfig) -> int:
    """``flare pretrain``."""
    if config.resume is not None:
        resume = config.resume
        config = load_config(RunFolder.open(resume).config, PretrainConfig)
        config = replace(config, resume=resume)
    return _run_small(config) if config.checkpoint is None else _run_cloning(config)


def _run_cloning(config: PretrainConfig) -> int:
    """Behaviour cloning of a policy that exists, new or resumed, on each rank."""
    if config.checkpoint is None or config.demonstrations is None:
        raise UserError(
            "is missing",
            key="checkpoint" if config.checkpoint is None else "demonstrations",
            mend="give --checkpoint and --demonstrations, or --resume RUN",
        )
    resumed = None if config.resume is None else load_checkpoint(config.resume)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    agent, policy, start = load_agent(config.resume or config.checkpoint)
    ranks = Ranks.of_environment()
    with (
        Console("pretrain") as console,
        StopFlag() as stop,
        ranks.joined(config.cloning.device),
    ):
        vocabulary = agent.vocabulary(start.processors)
        cloner = Cloner(agent, policy, vocabulary, config.cloning, seed=config.seed, ranks=ranks)
        source = open_windows(config.demonstrations, agent, cloner, console.message)
        run = _cloning_folder(config) if ranks.rank == 0 else None
        work = CloneRun(
            agent=agent, cloner=cloner, source=source, processors=start.processors,
            recipe=replace(config, resume=None), world=config.world, task=config.task, run=run,
            console=console,
        )  # fmt: skip
        if resumed is not None:
            work.resume(resumed)
        with console.stage("cloning", total=config.cloning.num_steps, unit="steps") as stage:
            finished = work.train(stage, lambda: stop.requested)
        if run is not None:
            console.message(f"saved {run.latest}")
            if not finished:
                console.message(
                    f"stopped by {stop.reason}; go on with: flare pretrain --resume {run.path}"
                )
    return 0 if finished else 130


def _cloning_folder(config: PretrainConfig) -> RunFolder:
    if config.resume is not None:
        return RunFolder.open(config.resume)
    assert config.demonstrations is not None  # the caller asked
    files = [path for path in (config.demonstrations, config.cloning.eval_houses) if path]
    inputs = file_hashes([path for path in files if path.is_file()])
    run = RunFolder.create(config.runs, config.name, prefix="pretrain")
    run.describe(config, make_manifest(recipe="pretrain", seed=config.seed, inputs=inputs))
    return run


def _run_small(config: PretrainConfig) -> int:
    """The small policy: its image encoder from free labels, then imitation of a file."""
    if config.houses is None or config.demonstrations is None:
        raise UserError(
            "is missing",
            key="houses" if config.houses is None else "demonstrations",
            mend="give --houses and --demonstrations, or --checkpoint of a policy to start from",
        )
    goal_types = config.task.sampler.target_types
    if not goal_types:
        raise UserError(
            "is empty", key="task.sampler.target_types", mend="name the goal types to learn"
        )
    demonstrations = Demonstrations.load(config.demonstrations)
    world = replace(config.world, action_names=demonstrations.action_names)
    world = world.for_tasks(config.task.build())
    houses = load_house_file(
        config.houses, limit=config.max_houses, num_threads=world.threads, assets=world.assets
    )
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    agent = make_agent(world, config.task, goal_types, config.critic)
    check_demonstrations(demonstrations, agent, config.demonstrations)
    run = _small_folder(config)
    with run.removed_if_unused(), Console("pretrain") as console, StopFlag() as stop:
        tell_if_missing(console.message)
        work = Pretraining(
            agent=agent, encoder=config.encoder, imitation=config.imitation,
            goal_types=goal_types, seed=config.seed, folder=run.path,
            recipe=replace(config, resume=None), should_stop=lambda: stop.requested,
        )  # fmt: skip
        views = partial(
            views_anywhere, houses, world, config.task, config.encoder, goal_types, config.seed + 1
        )
        finished = work.run(
            views, lambda policy: EncodedDemonstrations.of(policy, demonstrations), run, console
        )
        if not finished:
            console.message(
                f"stopped by {stop.reason}; go on with: flare pretrain --resume {run.path}"
            )
            return 130
        console.message(f"saved {run.latest}")
    return 0


def _small_folder(config: PretrainConfig) -> RunFolder:
    if config.resume is not None:
        return RunFolder.open(config.resume)
    assert config.houses is not None and config.demonstrations is not None  # the caller asked
    inputs = file_hashes([config.houses, config.demonstrations])
    run = RunFolder.create(config.runs, config.name, prefix="pretrain")
    run.describe(config, make_manifest(recipe="pretrain", seed=config.seed, inputs=inputs))
    return run
