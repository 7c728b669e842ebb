"""``flare collect``: expert demonstrations, in one file or in the published CHORES layout."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_limit,
    load_house_file,
    make_sampler,
    make_worlds,
)
from flare.config import to_dict
from flare.console import Console
from flare.data.collection import Journal, collect_trajectories
from flare.data.layout import FRAME_HEIGHT, FRAME_WIDTH, TASK_TYPES
from flare.errors import UserError, require
from flare.imitation.demonstrations import collect_demonstrations
from flare.replay.log import HouseSource, LogHeader, LogRecorder
from flare.rng import check_seed
from flare.rollout.player import PlayedEpisode
from flare.run_folder import file_hashes
from flare.signals import StopFlag
from flare.specs import ACTION_NAMES, CameraSpec
from flare.worlds.embedded import House


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectConfig:
    """Configuration of ``flare collect``."""

    houses: Path  # house file to play in
    out: Path  # HDF5 file to write; a folder for the layout chores
    # "file": everything in one HDF5 file, read into memory whole. "chores": the layout of the
    # published trajectories, a folder a task, split and house, with videos and all sensors; the
    # same command goes on with a folder that it had to leave.
    layout: Literal["file", "chores"] = "file"
    split: Literal["train", "val"] = "train"  # of the layout chores
    num_episodes: int = 1000
    # Share of the expert's actions that are random, so that it is seen to recover. A file also
    # holds what it wanted then, which is what is learnt.
    noise: float = 0.0
    max_houses: int | None = None
    seed: int = 0
    overwrite: bool = False  # replace an existing file; never a folder
    # Episode log to write for flare replay, failed episodes included; of the layout file.
    log: Path | None = None
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)

    def __post_init__(self) -> None:
        require(0.0 <= self.noise < 1.0, "noise", self.noise, "use 0 to below 1")
        require(self.num_episodes >= 1, "num_episodes", self.num_episodes, "use at least 1")
        check_limit(self.max_houses)
        check_seed(self.seed)
        if self.layout == "chores":
            for name in ("overwrite", "log"):
                value = getattr(self, name)
                require(not value, name, value, "leave it out with the layout chores")


def run_collect(config: CollectConfig) -> int:
    """``flare collect``."""
    return _collect_file(config) if config.layout == "file" else _collect_folders(config)


def _houses(config: CollectConfig) -> list[House]:
    return load_house_file(
        config.houses,
        limit=config.max_houses,
        num_threads=config.world.threads,
        assets=config.world.assets,
    )


def _collect_file(config: CollectConfig) -> int:
    if config.out.exists() and not (config.overwrite and config.out.is_file()):
        raise UserError("exists already", file=config.out, mend="choose another or --overwrite")
    if not config.out.parent.is_dir():
        raise UserError("no such folder", file=config.out.parent, mend="make it first")
    houses = _houses(config)
    mixture = config.task.build()
    world = config.world.for_tasks(mixture)
    with Console("collect") as console, StopFlag() as stop:
        with console.stage("demonstrations", total=config.num_episodes, unit="episodes") as stage:
            worlds, recorder = make_worlds(houses, world), LogRecorder()
            result = collect_demonstrations(
                worlds, make_sampler(houses, config.task, config.seed),
                config.num_episodes, noise=config.noise,
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


def _collect_folders(config: CollectConfig) -> int:
    houses, mixture = _houses(config), config.task.build()
    world = published_world(config.world)
    journal = Journal(config.out, _settings(config, world))
    sampler = make_sampler(houses, config.task, config.seed)
    count = config.num_episodes
    episodes = sampler.sample(np.zeros(count, np.int64), np.arange(count))
    with Console("collect") as console, StopFlag() as stop:
        with console.stage("trajectories", total=count, unit="episodes") as stage:
            stage.resume_at(sum(house.kept + house.failed for house in journal.houses.values()))

            def tell(_: PlayedEpisode) -> None:
                stage.update(advance=1, note=_sizes(journal, count))

            collect_trajectories(
                make_worlds(houses, world), mixture, episodes, config.out, journal,
                split=config.split, noise=config.noise, num_threads=world.threads, on_episode=tell,
                should_stop=lambda: stop.requested,
            )  # fmt: skip
        for task in mixture.tasks:
            done = [house for house in journal.houses.values() if house.task == task.name]
            console.message(
                f"{config.out / TASK_TYPES[task.name]}: {sum(each.kept for each in done)} episodes "
                f"of {len(done)} houses, {sum(each.steps for each in done)} steps, "
                f"{_mib(sum(each.bytes for each in done))}; "
                f"{sum(each.failed for each in done)} failures"
            )
        if stop.requested:
            console.message(f"stopped by {stop.reason}; the same command goes on from here")
    return 130 if stop.requested else 0


def published_world(world: WorldConfig) -> WorldConfig:
    """Both cameras, all actions, and the published size of frames unless another is asked for."""
    camera = world.camera
    if camera == WorldConfig().camera:
        camera = CameraSpec(width=FRAME_WIDTH, height=FRAME_HEIGHT)
    return replace(
        world,
        camera=replace(camera, num_cameras=2),
        action_names=world.action_names or ACTION_NAMES,
    )


def _settings(config: CollectConfig, world: WorldConfig) -> dict[str, Any]:
    """What decides the files, and so must be the same when a collection goes on."""
    return {
        "houses": next(iter(file_hashes([config.houses]).values())),
        "max_houses": config.max_houses,
        "num_episodes": config.num_episodes,
        "seed": config.seed,
        "noise": config.noise,
        "split": config.split,
        "camera": to_dict(world.camera),
        "assets": str(world.assets) if world.assets else None,
        "task": to_dict(config.task),
    }


def _sizes(journal: Journal, num_episodes: int) -> str:
    """Bytes so far, and in the end if the other houses are like these."""
    done = journal.houses.values()
    written = sum(house.bytes for house in done)
    played = sum(house.kept + house.failed for house in done)
    if not played:
        return ""
    return f"{_mib(written)} of about {_mib(written * num_episodes / played)}"


def _mib(size: float) -> str:
    return f"{size / 2**20:,.1f} MiB"
