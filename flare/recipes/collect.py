"""``flare collect``: expert demonstrations of a task, written to one file."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flare.assembly import TaskConfig, WorldConfig, load_house_file, make_sampler, make_worlds
from flare.console import Console
from flare.errors import UserError
from flare.imitation.demonstrations import collect_demonstrations
from flare.signals import StopFlag


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectConfig:
    """Configuration of ``flare collect``."""

    houses: Path  # house file to play in
    out: Path  # HDF5 file to write
    num_episodes: int = 1000
    max_houses: int | None = None
    seed: int = 0
    overwrite: bool = False  # replace an existing file
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)

    def __post_init__(self) -> None:
        if self.num_episodes < 1:
            raise UserError(f"is {self.num_episodes}", key="num_episodes", mend="use at least 1")


def run_collect(config: CollectConfig) -> int:
    """``flare collect``."""
    if config.out.exists() and not config.overwrite:
        raise UserError("exists already", file=config.out, mend="choose another or --overwrite")
    houses = load_house_file(
        config.houses,
        limit=config.max_houses,
        num_threads=config.world.threads,
        assets=config.world.assets,
    )
    mixture = config.task.build()
    world = config.world.for_tasks(mixture)
    with Console("collect") as console, StopFlag() as stop:
        with console.stage("demonstrations", total=config.num_episodes, unit="episodes") as stage:
            result = collect_demonstrations(
                make_worlds(houses, world), make_sampler(houses, config.task, config.seed),
                config.num_episodes,
                on_episode=lambda _: stage.update(advance=1), should_stop=lambda: stop.requested,
            )  # fmt: skip
        result.demonstrations.save(config.out)
        kept, failed = result.demonstrations, Counter(f.end for f in result.failures)
        console.message(
            f"{config.out}: {kept.num_episodes} of {result.num_played} episodes, "
            f"{len(kept.actions)} steps; failures: {dict(failed) or 'none'}"
        )
        if stop.requested:
            console.message(f"stopped by {stop.reason}; the file holds what was there by then")
    return 130 if stop.requested else 0
