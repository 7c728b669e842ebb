"""Plays logged episodes again and names the first step that is not as it was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig
from flare.houses.sources import generated_item
from flare.replay.log import EpisodeLog, LoggedEpisode, LogHeader, digest, digest_facts
from flare.worlds.embedded import EmbeddedWorlds, House, load_houses

Watch = Callable[[int, int, EmbeddedWorlds, NDArray[Any]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """The first step of an episode that led elsewhere than logged."""

    episode: int  # position in the log
    step: int  # actions executed by then
    what: str  # "facts" or "frames"

    def __str__(self) -> str:
        """One line for people."""
        at = "at the start" if self.step == 0 else f"after action {self.step}"
        return f"episode {self.episode}: the {self.what} differ {at}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedHouses:
    """The houses that a log's episodes need."""

    items: list[tuple[str, str]]  # source and document
    houses: list[House]
    index: dict[int, int]  # a logged episode's house to the place in these lists


def find_houses(
    log: EpisodeLog, file: Path | None, *, assets: Path | None = None, num_threads: int = 1
) -> LoadedHouses:
    """Read or generate every house of a log and check that it is the one that was played in.

    Args:
        log: the log.
        file: house file in place of the one that the log names.
        assets: pack in place of the one that the log names.
        num_threads: for loading.

    Raises:
        UserError: no such file, too few houses in it, or a house that has changed.
    """
    wanted = sorted({episode.house for episode in log.episodes})
    items = _items(log.header, wanted, file)
    named = log.header.houses.assets
    pack = assets or (Path(named) if named else None)
    houses = load_houses(items, num_threads, log.header.robot, assets=pack)
    index = {number: place for place, number in enumerate(wanted)}
    for position, episode in enumerate(log.episodes):
        found = f"{houses[index[episode.house]].hash:016x}"
        if found != episode.house_hash:
            raise UserError(
                f"is not the house that episode {position} was played in: its content has changed",
                file=file or log.header.houses.file or None,
                key=items[index[episode.house]][0],
                mend="give the original file with --houses",
            )
    return LoadedHouses(items=items, houses=houses, index=index)


def _items(header: LogHeader, wanted: Sequence[int], file: Path | None) -> list[tuple[str, str]]:
    source = header.houses
    if file is None and not source.file:
        return [
            generated_item(source.seed, source.split, number, GeneratorConfig())
            for number in wanted
        ]
    path = file or Path(source.file)
    if not wanted:
        return []
    items = read_houses(path, limit=max(wanted) + 1)
    if len(items) <= max(wanted):
        raise UserError(
            f"holds {len(items)} houses, the log needs house {max(wanted)}",
            file=path,
            mend="give the original file with --houses",
        )
    return [items[number] for number in wanted]


def play_again(
    log: EpisodeLog,
    loaded: LoadedHouses,
    *,
    num_envs: int = 8,
    num_threads: int = 1,
    watch: Watch | None = None,
) -> list[Divergence]:
    """Execute every episode's actions and compare each step with the log.

    Args:
        log: the log.
        loaded: its houses, as find_houses found them.
        num_envs: episodes played side by side; changes nothing.
        num_threads: of the simulator; changes nothing.
        watch: called with (position in the log, world, worlds, facts [N]) at each start and step.

    Returns:
        The first divergence of each episode that has one, in the log's order.
    """
    header, episodes = log.header, log.episodes
    if not episodes:
        return []
    n = min(num_envs, len(episodes))
    worlds = EmbeddedWorlds(
        loaded.houses, num_envs=n, robots=(header.robot,), num_threads=num_threads,
        camera=header.camera, action_names=header.action_names,
    )  # fmt: skip
    found: list[Divergence] = []
    order = sorted(range(len(episodes)), key=lambda i: len(episodes[i].actions))
    for first in range(0, len(order), n):
        found += _play_batch(worlds, order[first : first + n], episodes, loaded, watch)
    worlds.close()
    return sorted(found, key=lambda divergence: divergence.episode)


def _play_batch(
    worlds: EmbeddedWorlds,
    batch: Sequence[int],
    episodes: Sequence[LoggedEpisode],
    loaded: LoadedHouses,
    watch: Watch | None,
) -> list[Divergence]:
    """Episodes of similar length side by side; worlds without one repeat the first."""
    n = worlds.num_envs
    chosen = [*batch, *[batch[0]] * (n - len(batch))]
    specs = np.concatenate([episodes[i].row() for i in chosen])
    specs["house"] = [loaded.index[episodes[i].house] for i in chosen]
    specs["robot"] = 0
    frames = np.zeros((n, *worlds.camera.frame_shape), np.uint8)
    facts = np.zeros(n, worlds.facts_dtype)
    worlds.reset(np.arange(n, dtype=np.int32), specs, frames, facts)
    found: dict[int, Divergence] = {}
    idle = worlds.action_names.index("done")
    for step in range(max(len(episodes[i].actions) for i in batch) + 1):
        if step > 0:
            taken = [episodes[i].actions[step - 1 : step] or (idle,) for i in chosen]
            worlds.step(np.array(taken, np.int64)[:, 0], frames, facts)
        rows = digest_facts(facts)
        for world, position in enumerate(batch):
            if step > len(episodes[position].actions):
                continue
            if watch is not None:
                watch(position, world, worlds, facts)
            what = _difference(episodes[position], step, rows[world], frames[world])
            if what is not None and position not in found:
                found[position] = Divergence(episode=position, step=step, what=what)
    return list(found.values())


def _difference(
    episode: LoggedEpisode, step: int, facts: str, frame: NDArray[np.uint8]
) -> str | None:
    if facts != episode.facts[step]:
        return "facts"
    return "frames" if digest(frame.data) != episode.frames[step] else None
