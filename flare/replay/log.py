"""Episode logs: JSON lines, a header and one line an episode.

The header says where houses and robot come from; an episode's line holds its start, its actions and
a short digest of the facts and of the frames after each of them. Nothing guards the file itself: a
changed action, start or digest shows when the episode is played again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.atomic import PathLike, write_text
from flare.config import from_dict, to_dict
from flare.errors import UserError
from flare.robots import RobotSpec
from flare.rollout.player import StepView
from flare.specs import CameraSpec
from flare.tasks.registry import TASK_NAMES
from flare.tasks.sampler import Episodes
from flare.worlds.embedded import EPISODE_DTYPE, MAX_TARGETS, House

FORMAT = "flare-episode-log"
VERSION = 1

_DIGEST_LETTERS = 8  # of SHA-256; a step that differs goes unseen once in four thousand million
_POSE = ("x", "z", "yaw_deg")
_SPEC_NUMBERS = tuple(
    name
    for name in EPISODE_DTYPE.names or ()
    if name not in (*_POSE, "house", "robot", "targets", "num_targets", "unused")
)
_PLACES = ("house", "robot")  # facts that say where in a world's own lists something stands


@dataclass(frozen=True, kw_only=True, slots=True)
class HouseSource:
    """Where the houses of a log are found again."""

    file: str = ""  # house file; empty: generated
    seed: int = 0  # of generated houses
    split: str = "train"  # of generated houses
    assets: str = ""  # pack of `flare assets build`; empty: proxies

    @classmethod
    def of_file(cls, file: Path, assets: Path | None = None) -> "HouseSource":
        """A house file and perhaps a pack, found again from any folder."""
        return cls(file=str(file.absolute()), assets=str(assets.absolute()) if assets else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogHeader:
    """What all episodes of a log share."""

    houses: HouseSource
    robot: RobotSpec
    robot_hash: str  # of the robot's data
    camera: CameraSpec
    action_names: tuple[str, ...]  # actions are ids into it

    @classmethod
    def of(
        cls, houses: HouseSource, robot: RobotSpec, camera: CameraSpec, names: tuple[str, ...]
    ) -> "LogHeader":
        """The header of a log with this robot."""
        return cls(
            houses=houses, robot=robot, robot_hash=digest(robot.to_json().encode()),
            camera=camera, action_names=names,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedEpisode:
    """One episode: its start, what was done and what that led to."""

    episode: int  # its number where it was played
    task: str
    instruction: str
    house: int  # index in the house file, or of the generated house
    house_hash: str  # of the document, hexadecimal
    start: tuple[float, float, float]  # x m, z m, yaw degrees
    spec: dict[str, int]  # the other fields of EPISODE_DTYPE
    targets: tuple[int, ...]  # objects of the house that would do
    actions: tuple[int, ...]  # T ids
    facts: tuple[str, ...]  # T + 1 digests, the start's first
    frames: tuple[str, ...]  # T + 1 digests
    success: bool | None = None  # None: it was left before its end

    def row(self) -> NDArray[np.void]:
        """The start as an array [1] of EPISODE_DTYPE.

        Raises:
            ValueError: fields that this version does not have, or lacks.
        """
        if set(self.spec) != set(_SPEC_NUMBERS):
            differ = sorted(set(self.spec) ^ set(_SPEC_NUMBERS))
            raise ValueError(f"fields of the spec are missing or unknown: {', '.join(differ)}")
        if len(self.targets) > MAX_TARGETS:
            raise ValueError(f"{len(self.targets)} targets, at most {MAX_TARGETS} fit")
        row: NDArray[np.void] = np.zeros(1, EPISODE_DTYPE)
        for name, value in [*self.spec.items(), *zip(_POSE, self.start, strict=True)]:
            row[name] = value
        row["num_targets"], row["targets"] = len(self.targets), -1
        row["targets"][0, : len(self.targets)] = self.targets
        return row


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeLog:
    """A log, whole."""

    header: LogHeader
    episodes: tuple[LoggedEpisode, ...]

    def write(self, path: PathLike) -> None:
        """Write the file, whole or not at all.

        Raises:
            UserError: the disk is full or the folder cannot be written to.
        """
        head = {"format": FORMAT, "version": VERSION, **to_dict(self.header)}
        lines = [head, *(to_dict(episode) for episode in self.episodes)]
        write_text(path, "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))

    @classmethod
    def read(cls, path: PathLike) -> "EpisodeLog":
        """Read a file.

        Raises:
            UserError: no such file, another format or version, a line that is not as it should be.
        """
        head, *bodies = _objects(path)
        if head.pop("format", None) != FORMAT:
            raise UserError("not an episode log", mend="give one that flare wrote", file=path)
        if (version := head.pop("version", None)) != VERSION:
            raise UserError(
                f"is {version!r}, this flare reads version {VERSION}",
                mend="record the episodes again with this flare",
                file=path,
                key="version",
            )
        header = from_dict(head, LogHeader, file=path)
        if digest(header.robot.to_json().encode()) != header.robot_hash:
            raise UserError(
                "is not the robot that played: its data has changed",
                mend="restore the file",
                file=path,
                key="robot",
            )
        episodes = tuple(_episode(body, header, path, i + 2) for i, body in enumerate(bodies))
        return cls(header=header, episodes=episodes)


def _objects(path: PathLike) -> list[dict[str, Any]]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(
            f"cannot read ({error.strerror})", mend="check the path", file=path
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("not text", mend="give an episode log", file=path) from error
    objects = []
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UserError(
                "not a JSON object", mend="restore the file", file=path, key=f"line {number}"
            )
        objects.append(content)
    if not objects:
        raise UserError("is empty", mend="give an episode log", file=path)
    return objects


def _episode(body: dict[str, Any], header: LogHeader, path: PathLike, number: int) -> LoggedEpisode:
    key = f"line {number}"
    try:
        episode = from_dict(body, LoggedEpisode)
        episode.row()
    except UserError as error:
        raise error.at(file=path, prefix=key) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(str(error), mend="record it again", file=path, key=key) from error
    length, known = len(episode.actions), range(len(header.action_names))
    if len(episode.facts) != length + 1 or len(episode.frames) != length + 1:
        raise UserError(
            f"{length} actions ask for {length + 1} digests of facts and of frames",
            mend="restore the file",
            file=path,
            key=key,
        )
    if any(action not in known for action in episode.actions):
        raise UserError("an action has no name", mend="restore the file", file=path, key=key)
    return episode


def digest(data: bytes | memoryview) -> str:
    """Eight hexadecimal letters of the bytes."""
    return hashlib.sha256(data).hexdigest()[:_DIGEST_LETTERS]


def digest_facts(facts: NDArray[Any]) -> list[str]:
    """A digest of each row [n]; where house and robot stand in a world's lists does not count."""
    rows = facts.copy()
    for name in _PLACES:
        rows[name] = 0
    return [digest(row.tobytes()) for row in rows]


@dataclass(slots=True)
class _Trace:
    actions: list[int] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)


class LogRecorder:
    """Watches episodes being played (``play_episodes``' on_observation) and keeps their traces."""

    def __init__(self) -> None:
        self._traces: dict[int, _Trace] = {}

    def on_observation(self, view: StepView, worlds: NDArray[np.int64]) -> None:
        """Keep what these of the N worlds show now, and the action that led there."""
        for world, facts in zip(worlds, digest_facts(view.facts[worlds]), strict=True):
            episode, step = int(view.episode[world]), int(view.facts["step"][world])
            if step == 0:  # also where a world failed and its episode begins again
                self._traces[episode] = _Trace()
            trace = self._traces[episode]
            if step > 0:
                trace.actions.append(int(view.prev_action[world]))
            trace.facts.append(facts)
            trace.frames.append(digest(view.frames[world].data))

    def episode(
        self,
        number: int,
        spec: NDArray[Any],
        instruction: str,
        houses: Sequence[House],
        success: bool | None,
        *,
        house: int | None = None,
    ) -> LoggedEpisode:
        """One episode's line.

        Args:
            number: as the watched views named it.
            spec: its row of EPISODE_DTYPE.
            instruction: its sentence.
            houses: those that the spec indexes.
            success: of the episode; None if it was left before its end.
            house: its index in the house source, if that is not the spec's.
        """
        index = int(spec["house"])
        trace = self._traces[number]
        return LoggedEpisode(
            episode=number,
            task=TASK_NAMES[int(spec["task"])],
            instruction=instruction,
            house=index if house is None else house,
            house_hash=f"{houses[index].hash:016x}",
            start=(float(spec["x"]), float(spec["z"]), float(spec["yaw_deg"])),
            spec={name: int(spec[name]) for name in _SPEC_NUMBERS},
            targets=tuple(int(target) for target in spec["targets"][: spec["num_targets"]]),
            actions=tuple(trace.actions),
            facts=tuple(trace.facts),
            frames=tuple(trace.frames),
            success=success,
        )

    def log(
        self,
        header: LogHeader,
        episodes: Episodes,
        houses: Sequence[House],
        successes: Mapping[int, bool],
    ) -> EpisodeLog:
        """The log of those of a list of episodes that were played to their end.

        Args:
            header: of the log.
            episodes: the list; the watched views named them by their place in it.
            houses: those that the specs index, in the order of their source.
            successes: place in the list to success, of each episode that was played.
        """
        lines = [
            self.episode(i, episodes.specs[i], episodes.instructions[i], houses, success)
            for i, success in sorted(successes.items())
        ]
        return EpisodeLog(header=header, episodes=tuple(lines))
