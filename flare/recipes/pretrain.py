"""Pre-training: an image encoder from free labels, then imitation of the expert."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    make_sampler,
    make_worlds,
)
from flare.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flare.config import from_dict, to_dict
from flare.console import Console
from flare.errors import UserError
from flare.imitation.demonstrations import Demonstrations
from flare.metrics import MetricsLog
from flare.policy.config import small_preset
from flare.ranks import Ranks
from flare.recipes.clone_run import CloneRun, open_windows
from flare.recipes.cloning import Cloner, CloningConfig
from flare.recipes.encoder import EncoderConfig, LabelledViews, pretrain_encoder
from flare.recipes.imitate import ImitationConfig, imitate
from flare.rng import check_seed
from flare.run_folder import RunFolder, file_hashes, make_manifest
from flare.signals import StopFlag
from flare.tasks.instructions import split_words
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tensorboard import tell_if_missing
from flare.worlds.embedded import House

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
    resume: Path | None = None  # run of cloning to go on with; its own config counts, not this one
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
    world: WorldConfig, task: TaskConfig, goal_types: tuple[str, ...], critic: Critic = "facts"
) -> AgentConfig:
    """The small agent for these tasks, goals, actions and cameras."""
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
    return AgentConfig(
        network=network,
        words=vocabulary.words,
        action_names=world.action_names,
        camera=world.camera,
        max_steps=mixture.max_steps,
        max_words=vocabulary.max_words,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretraining:
    """Everything that pre-training needs, from the command's config or the demo's."""

    agent: AgentConfig
    houses: list[House]
    world: WorldConfig
    task: TaskConfig
    encoder: EncoderConfig
    imitation: ImitationConfig
    goal_types: tuple[str, ...]
    seed: int

    def run(
        self,
        demonstrations: Demonstrations,
        metrics: MetricsLog,
        console: Console,
        should_stop: Callable[[], bool],
    ) -> dict[str, torch.Tensor] | None:
        """Train; returns the weights, None when stopped on the way (nothing half is kept)."""
        torch.manual_seed(self.seed)
        policy = self.agent.build()
        with console.stage("image encoder", total=self.encoder.num_views, unit="views") as stage:
            stats = pretrain_encoder(
                policy, self._views(policy.image_encoder.grid), self.encoder,
                len(self.goal_types), stage, should_stop,
            )  # fmt: skip
        if should_stop():
            return None
        views = self.encoder.num_views
        metrics.append({"stage": "encoder", "iteration": 1, "step": views, **stats})
        total = self.imitation.num_epochs * demonstrations.num_episodes

        def log(epoch: int, numbers: dict[str, float]) -> None:
            step = epoch * len(demonstrations.actions)
            metrics.append({"stage": "pretrain", "iteration": epoch, "step": step, **numbers})

        with console.stage("imitation", total=total, unit="episodes") as stage:
            imitate(
                policy, demonstrations, self.agent.vocabulary(), self.imitation, stage,
                seed=self.seed, on_epoch=log, should_stop=should_stop,
            )  # fmt: skip
        return None if should_stop() else policy.state_dict()

    def _views(self, grid: tuple[int, int]) -> LabelledViews:
        """Views from anywhere, also beside the goals, whatever the tasks."""
        world = replace(self.world, num_envs=self.encoder.batch_size)
        anywhere = replace(self.task.sampler, min_distance=0.0, specs=())
        task = TaskConfig(names=("ObjectNav",), sampler=anywhere)
        return LabelledViews(
            make_worlds(self.houses, world), self.houses,
            make_sampler(self.houses, task, self.seed + 1), self.goal_types, grid,
        )  # fmt: skip


def save_pretrained(
    path: Path, agent: AgentConfig, weights: dict[str, torch.Tensor], recipe: object, step: int
) -> Path:
    """Write the checkpoint of a finished pre-training below ``path``."""
    checkpoint = Checkpoint(
        step=step, stage="pretrain", model=weights, policy=to_dict(agent),
        recipe=to_dict(recipe), trainer={}, metrics={"demonstrated_steps": step},
    )  # fmt: skip
    return save_checkpoint(path, checkpoint)


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
    if config.checkpoint is not None or config.resume is not None:
        return _run_cloning(config)
    return _run_small(config)


def _run_cloning(config: PretrainConfig) -> int:
    """Behaviour cloning of a policy that exists, new or resumed, on each rank."""
    resumed: Checkpoint | None = None
    if config.resume is not None:
        resumed = load_checkpoint(config.resume)
        resume = config.resume
        config = replace(from_dict(resumed.recipe, PretrainConfig, file=resume), resume=resume)
    if config.checkpoint is None or config.demonstrations is None:
        raise UserError(
            "is missing",
            key="checkpoint" if config.checkpoint is None else "demonstrations",
            mend="give --checkpoint and --demonstrations, or --resume RUN",
        )
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
    if not config.task.sampler.target_types:
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
    goal_types = config.task.sampler.target_types
    agent = make_agent(world, config.task, goal_types, config.critic)
    check_demonstrations(demonstrations, agent, config.demonstrations)
    work = Pretraining(
        agent=agent, houses=houses, world=world, task=config.task, encoder=config.encoder,
        imitation=config.imitation, goal_types=goal_types, seed=config.seed,
    )  # fmt: skip
    inputs = file_hashes([config.houses, config.demonstrations])
    run = RunFolder.create(config.runs, config.name, prefix="pretrain")
    with (
        run.removed_if_unused(),
        Console("pretrain") as console,
        StopFlag() as stop,
        MetricsLog(run.metrics, events=run.tensorboard) as metrics,
    ):
        run.describe(config, make_manifest(recipe="pretrain", seed=config.seed, inputs=inputs))
        tell_if_missing(console.message)
        weights = work.run(demonstrations, metrics, console, lambda: stop.requested)
        if weights is None:
            run.remove()
            console.message(f"stopped by {stop.reason}; nothing was kept, start the command again")
            return 130
        folder = save_pretrained(run.path, agent, weights, config, len(demonstrations.actions))
        console.message(f"saved {folder}")
    return 0
