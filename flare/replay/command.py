"""``flare replay``: play an episode log again, verify it, make a video of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.houses.live_plan import LivePlan
from flare.replay.log import EpisodeLog, LoggedEpisode
from flare.replay.verify import LoadedHouses, find_houses, play_again
from flare.video.encoding import codec_for, write_video
from flare.video.scene import scene_picture
from flare.worlds.embedded import EmbeddedWorlds

FPS = 6
HEIGHT = 360  # px of a video's pictures without the words
_HOLD = 8  # pictures that the last one stays


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayConfig:
    """Configuration of ``flare replay``."""

    log: Path  # episode log, as flare eval, play and collect write it
    houses: Path | None = None  # house file in place of the one that the log names
    assets: Path | None = None  # pack in place of the one that the log names
    episode: int | None = None  # position in the log, from 0; None: all, of a video the first
    video: Path | None = None  # .mp4 or .webm to write of one episode
    check: bool = True  # exit with 1 where facts or frames differ; off: only say so
    num_envs: int = 8  # episodes played side by side
    num_threads: int = 0  # simulator threads; 0: one per core

    def __post_init__(self) -> None:
        for name, least in (("num_envs", 1), ("num_threads", 0), ("episode", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"is {value}", key=name, mend=f"use {least} or more")


def run_replay(config: ReplayConfig) -> int:
    """``flare replay``: 0 the same bits, 1 something differs."""
    if config.video is not None:
        codec_for(config.video)  # before any work
    log = _chosen(EpisodeLog.read(config.log), config)
    threads = config.num_threads or len(os.sched_getaffinity(0))
    loaded = find_houses(log, config.houses, assets=config.assets, num_threads=threads)
    if config.video is not None:
        write_video(config.video, _pictures(log, loaded), fps=FPS)
        print(f"wrote {config.video}")
    found = play_again(log, loaded, num_envs=config.num_envs, num_threads=threads)
    for divergence in found:
        where = (
            divergence if config.episode is None else replace(divergence, episode=config.episode)
        )
        print(where)
    steps = sum(len(episode.actions) for episode in log.episodes)
    same = len(log.episodes) - len(found)
    print(f"{same} of {len(log.episodes)} episodes are the same to the bit ({steps} actions)")
    return int(bool(found) and config.check)


def _chosen(log: EpisodeLog, config: ReplayConfig) -> EpisodeLog:
    if not log.episodes:
        raise UserError("holds no episode", file=config.log, mend="record one with flare play")
    if config.episode is None:
        return log
    if config.episode >= len(log.episodes):
        raise UserError(
            f"is {config.episode}, the log holds {len(log.episodes)} episodes",
            key="episode",
            mend=f"use 0 to {len(log.episodes) - 1}",
        )
    return replace(log, episodes=(log.episodes[config.episode],))


def _pictures(log: EpisodeLog, loaded: LoadedHouses) -> Iterator[NDArray[np.uint8]]:
    """What the log's first episode looks like, played again."""
    episode = log.episodes[0]
    painter = EpisodePainter(
        loaded.items[loaded.index[episode.house]][1],
        target_ids(loaded, episode),
        episode.instruction,
    )
    pictures: list[NDArray[np.uint8]] = []

    def watch(position: int, world: int, worlds: EmbeddedWorlds, facts: NDArray[Any]) -> None:
        step = len(pictures)
        name = log.header.action_names[episode.actions[step - 1]] if step else "start"
        is_last = step == len(episode.actions)
        pictures.append(
            painter.draw(worlds, facts[world], name, episode.success if is_last else None)
        )

    play_again(replace(log, episodes=(episode,)), loaded, num_envs=1, watch=watch)
    yield from pictures
    yield from [pictures[-1]] * _HOLD


def target_ids(loaded: LoadedHouses, episode: LoggedEpisode) -> list[str]:
    """Ids of the objects that an episode asks for."""
    objects = loaded.houses[loaded.index[episode.house]].objects()
    return [objects[target]["id"] for target in episode.targets]


class EpisodePainter:
    """Pictures of one episode: the robot's cameras, the plan with its path, what it does."""

    def __init__(self, document: str, targets: list[str], instruction: str) -> None:
        self._plan = LivePlan(document, HEIGHT, targets=targets)
        self._instruction = instruction
        self._path: list[tuple[float, float]] = []

    def draw(
        self,
        worlds: EmbeddedWorlds,
        fact: Any,  # noqa: ANN401 (a structured row)
        action: str,
        success: bool | None,
    ) -> NDArray[np.uint8]:
        """One picture, [H, W, 3] uint8.

        Args:
            worlds: whose world 0 is drawn.
            fact: its row.
            action: name of the action that led here.
            success: of the episode, once it is known.
        """
        camera = worlds.camera
        width = round(HEIGHT * camera.width / camera.height)
        ids = np.zeros(1, np.int32)
        images = [
            worlds.render(ids, camera=i, width=width, height=HEIGHT)[0][0]
            for i in range(camera.num_cameras)
        ]
        self._path.append((float(fact["position"][0]), float(fact["position"][2])))
        plan = self._plan.draw(self._path, float(fact["yaw_deg"]))
        end = {None: "", True: "   success", False: "   failure"}[success]
        line = f"step {int(fact['step'])}   {action.replace('_', ' ')}{end}"
        return scene_picture([*images, plan], [self._instruction, line])
