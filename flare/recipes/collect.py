"""``flare collect``: expert demonstrations of a task, written to one file."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_limit,
    load_house_file,
    make_sampler,
    make_worlds,
)
from flare.console import Console
from flare.errors import UserError, require
from flare.imitation.demonstrations import collect_demonstrations
from flare.replay.log import HouseSource, LogHeader, LogRecorder
from flare.rng import check_seed
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
    log: Path | None = None  # episode log to write for flare replay, failed episodes included
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)

    def __post_init__(self) -> None:
        require(self.num_episodes >= 1, "num_episodes", self.num_episodes, "use at least 1")
        check_limit(self.max_houses)
        check_seed(self.seed)


def run_collect(config: CollectConfig) -> int:
    """``flare collect``."""
    if config.out.exists() and not (config.overwrite and config.out.is_file()):
        raise UserError("exists already", file=config.out, mend="choose another or --overwrite")
    if not config.out.parent.is_dir():
        raise UserError("no such folder", file=config.out.parent, mend="make it first")
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
            worlds, recorder = make_worlds(houses, world), LogRecorder()
            result = collect_demonstrations(
                worlds, make_sampler(houses, config.task, config.seed),
                config.num_episodes,
                on_episode=lambda _: stage.update(advance=1), should_stop=lambda: stop.requested,
                on_observation=recorder.on_observation if config.log else None,
            )  # fmt: skip
        if result.demonstrations.num_episodes == 0:
            console.message(f"stopped by {stop.reason} before the first episode's end; no file")
            return 130
        result.demonstrations.save(config.out)
        if config.log is not None:
            source = HouseSource.of_file(config.houses, world.assets)
            header = LogHeader.of(source, worlds.robots[0], world.camera, world.action_names)
            recorder.log(header, result.episodes, houses, result.successes).write(config.log)
        kept, failed = result.demonstrations, Counter(f.end for f in result.failures)
        console.message(
            f"{config.out}: {kept.num_episodes} of {result.num_played} episodes, "
            f"{len(kept.actions)} steps; failures: {dict(failed) or 'none'}"
        )
        if stop.requested:
            console.message(f"stopped by {stop.reason}; the file holds what was there by then")
    return 130 if stop.requested else 0
