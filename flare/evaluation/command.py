"""``flare eval``: a checkpoint on frozen episodes, with intervals."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from flare.agent import load_agent
from flare.assembly import TaskConfig, WorldConfig, load_house_file, make_sampler, make_worlds
from flare.console import Console
from flare.errors import UserError
from flare.evaluation.evaluate import FrozenEpisodes, evaluate_policy, freeze_episodes
from flare.evaluation.records import load_frozen, save_frozen, write_evaluation
from flare.evaluation.summary import Summary
from flare.run_folder import RunFolder
from flare.tasks.mixture import TaskMixture
from flare.tasks.task import TRAINING_STEPS
from flare.worlds.embedded import House


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Configuration of ``flare eval``."""

    checkpoint: Path  # run or checkpoint folder
    houses: Path  # house file to evaluate in
    which: str = "latest"  # "latest" or "best" checkpoint of a run
    episodes: Path | None = None  # frozen episode file; drawn and written beside the results if new
    num_episodes: int = 200  # when the episodes are drawn
    name: str = "eval"  # of the results: <out>/eval/<name>.jsonl
    out: Path | None = None  # folder for results; default: the checkpoint's run
    seed: int = 0
    greedy: bool = False  # the mode of the policy instead of samples
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)

    def __post_init__(self) -> None:
        if self.num_episodes < 1:
            raise UserError(f"is {self.num_episodes}", key="num_episodes", mend="use at least 1")


def run_evaluate(config: EvaluateConfig) -> int:
    """``flare eval``."""
    agent, policy, checkpoint = load_agent(config.checkpoint, which=config.which)
    world = replace(config.world, camera=agent.camera, action_names=agent.action_names)
    sampler = replace(config.task.sampler, camera_noise=False, randomise=())
    # Trained with the original's limit means evaluated with the original's, which are longer.
    limit = 0 if agent.max_steps == TRAINING_STEPS else agent.max_steps
    task = replace(config.task, max_steps=config.task.max_steps or limit, sampler=sampler)
    config = replace(config, world=world, task=task)
    mixture = task.build(is_evaluation=True)
    mixture.check_actions(agent.action_names)
    houses = load_house_file(config.houses, num_threads=world.threads, assets=world.assets)
    run = RunFolder(config.out or config.checkpoint)
    (run.path / "eval").mkdir(parents=True, exist_ok=True)
    with Console("eval") as console:
        frozen = _episodes(config, mixture, houses, run, console)
        total = len(frozen.expert_lengths)
        with console.stage("evaluate", total=total, unit="episodes") as stage:
            result = evaluate_policy(
                policy, make_worlds(houses, world), mixture, frozen,
                agent.vocabulary(checkpoint.processors),
                stage=config.name, split="val", seed=config.seed, greedy=config.greedy,
                house_facts=[(house.source, house.num_rooms) for house in houses],
                on_episode=lambda _: stage.update(advance=1),
            )  # fmt: skip
        summary = write_evaluation(run, config.name, result, agent.action_names)
        console.message(f"{run.evaluation(config.name)}: {_success(summary)}")
        if len(summary["by_task"]) > 1:
            for group in summary["by_task"]:
                console.message(f"  {group['key']}: {_success(group)}")
    return 0


def _success(summary: Summary) -> str:
    success = summary["success"]
    return (
        f"success {success['rate']:.1%} [{success['low']:.1%}, {success['high']:.1%}] "
        f"of {success['n']} episodes"
    )


def _episodes(
    config: EvaluateConfig, mixture: TaskMixture, houses: list[House], run: RunFolder,
    console: Console,
) -> FrozenEpisodes:  # fmt: skip
    path = config.episodes or run.path / "eval" / f"{config.name}.episodes.jsonl"
    if not path.exists():
        with console.stage("evaluation episodes", total=config.num_episodes) as stage:
            frozen = freeze_episodes(
                make_worlds(houses, config.world),
                make_sampler(houses, config.task, config.seed, mixture=mixture),
                config.num_episodes,
                on_episode=lambda _: stage.update(advance=1),
            )  # fmt: skip
        save_frozen(path, frozen, config.houses, houses, mixture)
    return load_frozen(path, config.houses, mixture)
