"""Watches episodes being played and makes trajectories of them: sensor rows and two videos."""

import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.data.layout import CAMERAS, encode_text
from flare.data.sensors import (
    BOX_FIELDS,
    BOX_SENSORS,
    SENSORS,
    RoomMemory,
    Seen,
    approximate_boxes,
    motion_sensors,
    target_boxes,
    target_sensors,
)
from flare.data.task_spec import template_of
from flare.data.video import trajectory_encoder
from flare.rollout.noisy_expert import NoisyExpert
from flare.rollout.player import StepView
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TASK_NAMES
from flare.tasks.sampler import Episodes
from flare.tasks.scene import MAX_TARGETS
from flare.video.encoding import Encoder
from flare.worlds.embedded import EmbeddedWorlds

_BOXES = tuple(name for names in BOX_SENSORS for name in names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """One episode of T actions as it lies on disk."""

    task: str  # of the registry
    house: int  # index in the house file
    # Name of a sensor, or box sensor/field, to its T + 1 rows.
    sensors: dict[str, NDArray[Any]]
    videos: tuple[bytes, ...]  # MP4 of each of CAMERAS, T + 1 frames each

    @property
    def num_actions(self) -> int:
        """T."""
        return len(self.sensors["last_action_success"]) - 1

    @property
    def num_bytes(self) -> int:
        """Of the videos and the sensors before compression."""
        rows = sum(values.nbytes for values in self.sensors.values())
        return rows + sum(len(video) for video in self.videos)


class _Film:
    """The two videos of one running episode."""

    def __init__(self) -> None:
        self._files = [io.BytesIO() for _ in CAMERAS]
        self.encoders: list[Encoder] = [trajectory_encoder(file) for file in self._files]

    def close(self) -> tuple[bytes, ...]:
        for encoder in self.encoders:
            encoder.close()
        return tuple(file.getvalue() for file in self._files)


class TrajectoryRecorder:
    """Rows and videos of N running episodes, handed out when they end."""

    def __init__(
        self,
        worlds: EmbeddedWorlds,
        mixture: TaskMixture,
        episodes: Episodes,
        expert: NoisyExpert | None = None,
        *,
        num_threads: int = 1,
    ) -> None:
        """Make room for N episodes.

        Args:
            worlds: N of them, being played.
            mixture: the tasks of the episodes.
            episodes: what is played.
            expert: the actor, if some of its actions are random.
            num_threads: threads that encode pictures side by side.
        """
        self._expert = expert
        self._worlds, self._mixture, self._episodes = worlds, mixture, episodes
        n, rows = worlds.num_envs, mixture.max_steps + 1
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros((rows, n, *shape), dtype) for name, (shape, dtype) in SENSORS.items()
        }
        for name in _BOXES:
            self._columns[name] = np.zeros((rows, n, MAX_TARGETS, 4), np.float32)
        self._rooms = RoomMemory(n)
        most = max(len(house.objects()) for house in worlds.houses)
        self._slots = np.zeros((n, most + 1), np.uint8)
        self._centers = np.zeros((n, MAX_TARGETS, 3))
        self._faces = np.zeros((n, MAX_TARGETS))
        self._targets = np.full((n, MAX_TARGETS), -1)
        self._films: dict[int, _Film] = {}
        self._running: dict[int, int] = {}  # world to episode
        self._length = np.zeros(n, np.int64)  # actions so far
        self._ended: dict[int, Trajectory] = {}  # by episode, until someone asks
        self._pool = ThreadPoolExecutor(num_threads)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    def on_observation(self, view: StepView, envs: NDArray[np.int64]) -> None:
        """Keep what these of the N worlds show now."""
        facts = view.facts[envs]
        for env in envs[facts["step"] == 0]:
            self._begin(int(env), int(view.episode[env]))
        self._length[envs] = facts["step"]
        self._film(view.frames, envs)
        self._follow_moved(envs, facts)
        is_random = self._expert.is_random[envs] if self._expert else np.zeros(len(envs), np.bool_)
        sensors = motion_sensors(facts, is_random) | self._rooms.update(envs, facts)
        sensors |= self._target_sensors(envs, facts)
        for name, values in sensors.items():
            self._columns[name][facts["step"], envs] = values

    def finish(self, episode: int) -> Trajectory:
        """The trajectory of an episode that has ended; it is handed out once."""
        if episode not in self._ended:
            self._cut(next(env for env, each in self._running.items() if each == episode))
        return self._ended.pop(episode)

    def _cut(self, env: int) -> None:
        """Take what ended in this world out of the arrays; the next episode overwrites them."""
        episode, length = self._running.pop(env), int(self._length[env])
        spec, goal = self._episodes.specs[episode], self._episodes.goals[episode]
        task, house = TASK_NAMES[int(spec["task"])], self._worlds.houses[int(spec["house"])]
        template = template_of(task, goal, house)
        text = encode_text(json.dumps(template))
        sensors = {name: self._columns[name][: length + 1, env].copy() for name in SENSORS}
        sensors["templated_task_spec"] = np.repeat(text[None], length + 1, 0)
        sensors |= self._boxes(env, length, int(spec["num_targets"]), template, house.objects())
        self._ended[episode] = Trajectory(
            task=task,
            house=int(spec["house"]),
            sensors=sensors,
            videos=self._films.pop(env).close(),
        )

    def _begin(self, env: int, episode: int) -> None:
        if env in self._running:
            self._cut(env)
        self._running[env] = episode
        spec = self._episodes.specs[episode]
        objects = self._worlds.houses[int(spec["house"])].objects()
        self._films[env] = _Film()
        self._slots[env] = 0
        self._targets[env] = -1
        for k, target in enumerate(spec["targets"][: spec["num_targets"]]):
            item = objects[int(target)]
            self._slots[env, 1 + int(target)] = 1 + k
            self._targets[env, k] = target
            self._centers[env, k] = item["center"]
            longest, second, _ = sorted(item["size"], reverse=True)
            self._faces[env, k] = longest * second

    def _film(self, frames: NDArray[np.uint8], envs: NDArray[np.int64]) -> None:
        def encode(job: tuple[int, int]) -> None:
            env, camera = job
            self._films[env].encoders[camera].add(frames[env, camera])

        jobs = [(int(env), camera) for env in envs for camera in range(len(CAMERAS))]
        list(self._pool.map(encode, jobs))

    def _follow_moved(self, envs: NDArray[np.int64], facts: NDArray[Any]) -> None:
        """Targets that were carried elsewhere; few worlds at a time have one."""
        for env in envs[(facts["held_object"] >= 0) | (facts["dropped"] != 0)]:
            for index, center, _ in self._worlds.moved_objects(int(env)):
                self._centers[env, self._targets[env] == index] = center

    def _target_sensors(
        self, envs: NDArray[np.int64], facts: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        reached = np.zeros(len(envs), np.bool_)
        for task, rows in self._mixture.rows(facts):
            reached[rows] = task.reached(facts[rows])
        return target_sensors(
            facts, self._centers[envs], self._faces[envs], list(self._see(envs, facts)), reached,
            self._worlds.camera.height,
        )  # fmt: skip

    def _see(self, envs: NDArray[np.int64], facts: NDArray[Any]) -> Iterator[Seen]:
        """The targets in each camera; nothing is drawn where none is known."""
        some = np.flatnonzero(facts["num_targets"] > 0)
        for camera in range(len(CAMERAS)):
            boxes = np.full((len(envs), MAX_TARGETS, 4), -1.0, np.float32)
            seen = Seen(
                boxes=boxes, approximate=boxes.copy(),
                pixels=np.zeros((len(envs), MAX_TARGETS), np.int64),
            )  # fmt: skip
            if len(some):
                chosen = envs[some]
                _, _, ids = self._worlds.render(chosen.astype(np.int32), camera, ids=True)
                assert ids is not None
                slots = self._slots[chosen]
                seen.boxes[some], seen.pixels[some] = target_boxes(ids, slots)
                seen.approximate[some] = approximate_boxes(ids, slots, seen.boxes[some])
            yield seen

    def _boxes(
        self, env: int, length: int, count: int, template: dict[str, Any], objects: Sequence[Any]
    ) -> dict[str, NDArray[Any]]:
        ids = [str(objects[target]["id"]) for target in self._targets[env, :count]]
        synsets = template.get("broad_synset_to_object_ids", {})
        texts = {"oids_as_bytes": ids, "synset_to_oids_as_bytes": synsets}
        sensors: dict[str, NDArray[Any]] = {}
        for name in _BOXES:
            column = self._columns[name][: length + 1, env, :count]
            for k, field in enumerate(BOX_FIELDS):
                sensors[f"{name}/{field}"] = column[..., k].copy()
            for field, value in texts.items():
                row = encode_text(json.dumps(value))
                sensors[f"{name}/{field}"] = np.repeat(row[None], length + 1, 0)
        return sensors
