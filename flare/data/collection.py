"""Expert trajectories in the published layout, house after house, so that it can go on later."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.atomic import make_directory, write_text
from flare.config import differences
from flare.data.layout import TASK_TYPES, house_name, map_file, map_text
from flare.data.recorder import Trajectory, TrajectoryRecorder
from flare.data.writer import write_house
from flare.errors import UserError
from flare.rollout.noisy_expert import NoisyExpert
from flare.rollout.player import PlayedEpisode, play_episodes
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TASK_NAMES
from flare.tasks.sampler import Episodes
from flare.worlds.embedded import EmbeddedWorlds

JOURNAL = "collect.jsonl"  # what is finished, beside the tasks' folders

Place = tuple[str, int]  # task, house: what is written, and gone on with, as one


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedHouse:
    """One task in one house, done for good."""

    task: str
    house: int
    kept: int  # episodes written
    failed: int  # episodes in which the expert failed
    steps: int  # actions written
    bytes: int  # on disk


class Journal:
    """``collect.jsonl``: the settings, then one line a finished house, durable before the next."""

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        """Open the folder's journal, or begin it.

        Raises:
            UserError: the folder was begun with other settings, or holds something else.
        """
        self.path = out / JOURNAL
        self.houses: dict[Place, FinishedHouse] = {}
        if self.path.exists():
            self._read(settings)
        elif out.exists() and any(out.iterdir()):
            raise UserError("is not empty", file=out, mend="choose another folder")
        else:
            make_directory(out)
            write_text(self.path, json.dumps(settings) + "\n")

    def add(self, house: FinishedHouse) -> None:
        """Note a house whose folder is in place."""
        self.houses[house.task, house.house] = house
        line = {name: getattr(house, name) for name in FinishedHouse.__dataclass_fields__}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, settings: dict[str, Any]) -> None:
        whole = self.path.read_bytes().rpartition(b"\n")[0]  # a line cut by a crash is no line
        try:
            head, *lines = [json.loads(line) for line in whole.splitlines()]
            finished = [FinishedHouse(**line) for line in lines]
        except (ValueError, TypeError) as error:
            raise UserError(
                f"is damaged ({error})", file=self.path, mend="collect into another folder"
            ) from error
        if changed := differences(settings, head):
            raise UserError(
                f"was begun with other settings ({changed[0]})",
                file=self.path,
                mend="go on with those, or collect into another folder",
            )
        self.houses = {(house.task, house.house): house for house in finished}
        torn = len(whole) + 1 != self.path.stat().st_size
        if torn:
            write_text(self.path, whole.decode() + "\n")


@dataclass(slots=True)
class _Pending:
    """Episodes of one place that have ended, until its last one has."""

    left: int
    trajectories: dict[int, Trajectory] = field(default_factory=dict)
    failed: int = 0


class _Collection:
    """Gathers ended episodes and writes a house as soon as its last one has ended."""

    def __init__(
        self, out: Path, split: str, recorder: TrajectoryRecorder, journal: Journal,
        places: Sequence[Place],
    ) -> None:  # fmt: skip
        self._out, self._split = out, split
        self._recorder, self._journal, self._places = recorder, journal, places
        self._pending: dict[Place, _Pending] = {}
        for place in places:
            self._pending.setdefault(place, _Pending(left=0)).left += 1

    def on_episode(self, record: PlayedEpisode) -> None:
        place = self._places[record.episode]
        pending = self._pending[place]
        trajectory = self._recorder.finish(record.episode)
        if record.success:
            pending.trajectories[record.episode] = trajectory
        else:
            pending.failed += 1
        pending.left -= 1
        if pending.left == 0:
            self._write(place, self._pending.pop(place))

    def _write(self, place: Place, pending: _Pending) -> None:
        task, house = place
        kept = [pending.trajectories[i] for i in sorted(pending.trajectories)]
        size = 0
        if kept:
            size = write_house(self._out / TASK_TYPES[task] / self._split, house, kept)
        self._journal.add(
            FinishedHouse(
                task=task, house=house, kept=len(kept), failed=pending.failed,
                steps=sum(each.num_actions for each in kept), bytes=size,
            )
        )  # fmt: skip


def by_place(episodes: Episodes) -> tuple[Episodes, list[Place]]:
    """The episodes ordered by task and house, and the place of each."""
    order = np.lexsort((episodes.specs["house"], episodes.specs["task"]))
    ordered = episodes.take(order)
    places = [(TASK_NAMES[int(spec["task"])], int(spec["house"])) for spec in ordered.specs]
    return ordered, places


def collect_trajectories(
    worlds: EmbeddedWorlds,
    mixture: TaskMixture,
    episodes: Episodes,
    out: Path,
    journal: Journal,
    *,
    split: str,
    noise: float = 0.0,
    num_threads: int = 1,
    on_episode: Callable[[PlayedEpisode], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Play the expert in every episode whose house the journal lacks, and write what it masters.

    Args:
        worlds: with both cameras.
        mixture: the tasks of the episodes; judges success.
        episodes: all of them, those of earlier runs too.
        out: gets ``<task>/<split>/<house>/`` and each task's list of episodes.
        journal: of ``out``.
        split: "train" or "val".
        noise: share of the actions that are drawn at random (NoisyExpert).
        num_threads: that encode videos side by side.
        on_episode: progress hook; the journal already knows a house that this one ended.
        should_stop: True leaves the rest for another run.
    """
    ordered, all_places = by_place(episodes)
    is_open = [place not in journal.houses for place in all_places]
    rows: NDArray[np.int64] = np.flatnonzero(is_open)
    if len(rows):
        left, places = ordered.take(rows), [all_places[row] for row in rows]
        expert = NoisyExpert(worlds, mixture, left, noise)
        recorder = TrajectoryRecorder(worlds, mixture, left, expert, num_threads=num_threads)
        collection = _Collection(out, split, recorder, journal, places)

        def finish(record: PlayedEpisode) -> None:
            collection.on_episode(record)
            if on_episode is not None:
                on_episode(record)

        try:
            play_episodes(
                worlds, mixture, left, expert, num_actions=len(worlds.action_names),
                on_observation=recorder.on_observation, on_episode=finish, should_stop=should_stop,
            )  # fmt: skip
        finally:
            recorder.close()
    _write_maps(out, split, journal)


def _write_maps(out: Path, split: str, journal: Journal) -> None:
    maps: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for (task, house), finished in journal.houses.items():
        if finished.kept:
            maps[task][house_name(house)] = [str(i) for i in range(finished.kept)]
    for task, houses in maps.items():
        write_text(map_file(out / TASK_TYPES[task], split), map_text(houses))
