"""Which task, house, goal and start: episodes as a pure function of (seed, env, episode)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.rng import keyed_bits, keyed_uniform
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TAGS
from flare.tasks.scene import Goal, HouseView, Scene
from flare.tasks.task import Task

GOAL_KINDS = ("see", "hold", "enter_room", "visit_rooms")  # csrc/sim/facts.hpp kGoalNames
RANDOM_LOOKS = {"materials": 1, "lights": 2, "textures": 4}  # csrc/sim/facts.hpp kRandom...

_TRIES = 1000  # houses and starts drawn for one episode before giving up
_MOST_TRIED_GOALS = 64  # of one house and draw; a house without any usable one is drawn anew
# What the numbers of a key decide.
_HOUSE, _START, _YAW, _VERB, _SEED, _TASK, _GOAL = 0, 1, 2, 3, 4, 5, 16
_CACHED_HOUSES, _CACHED_TABLES = 256, 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplerConfig:
    """Which episodes are drawn."""

    target_types: tuple[str, ...] = ()  # goal categories; empty: every type with a target
    min_distance: float = 1.0  # m to walk from the start until the goal can be reached
    max_distance: float = 1e9  # m
    max_start_turn_deg: float = 180.0  # start heading, at most this far from the nearest target's
    camera_noise: bool = True  # the original's tilt and field-of-view noise
    # What of a house's looks is drawn, with the original's probability: "materials" of walls and
    # floors, as the original; "lights"; "textures" of objects.
    randomise: tuple[str, ...] = ("materials",)
    # Episodes to play in place of drawn ones: .jsonl.gz files of task specs, or folders
    # <task>/<split> of trajectories. Of the fields above only the last two count then.
    specs: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_distance <= self.max_distance:
            raise UserError(
                f"is {self.min_distance}",
                key="sampler.min_distance",
                mend="use 0 <= min_distance <= max_distance",
            )
        if not 0.0 <= self.max_start_turn_deg <= 180.0:
            raise UserError(
                f"is {self.max_start_turn_deg}",
                key="sampler.max_start_turn_deg",
                mend="use 0 to 180 degrees",
            )
        for name in self.randomise:
            if name not in RANDOM_LOOKS:
                raise UserError(
                    f"holds {name!r}",
                    key="sampler.randomise",
                    mend=f"choose among {', '.join(RANDOM_LOOKS)}",
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Episodes:
    """A batch of episode starts; rows of every field belong together."""

    specs: NDArray[Any]  # [n] EPISODE_DTYPE
    target_types: list[str]  # labels of the goals: an object type, a room type, a purpose
    instructions: list[str]
    shortest_paths: NDArray[np.float32]  # [n] m, -1 where the task defines none
    goals: list[Goal]

    def take(self, rows: NDArray[np.int64]) -> "Episodes":
        """These of the episodes, in this order."""
        return Episodes(
            specs=self.specs[rows],
            target_types=[self.target_types[i] for i in rows],
            instructions=[self.instructions[i] for i in rows],
            shortest_paths=self.shortest_paths[rows],
            goals=[self.goals[i] for i in rows],
        )


@dataclass(frozen=True, slots=True)
class _Goals:
    """The goals that one house offers for one task."""

    goals: list[Goal]
    family_sizes: NDArray[np.int64]  # how many goals are of each one's family


@dataclass(frozen=True, slots=True)
class _Starts:
    """Where episodes of one goal in one house may begin."""

    places: NDArray[np.float32]  # [s, 2] x, z
    walks: NDArray[np.float32]  # [s] m


@dataclass(slots=True)
class EpisodeSampler:
    """Draws episodes over tasks, houses, goals and starts; the same key gives the same episode.

    Goals and starts of a house are found when it is first drawn and kept for a while, so that a
    file of thousands of houses costs nothing at the beginning.
    """

    houses: Sequence[HouseView]
    mixture: TaskMixture
    episode_dtype: np.dtype[Any]
    config: SamplerConfig
    seed: int
    _scene: Callable[[int], Scene] = field(init=False)
    _goals: Callable[[int, Task], _Goals] = field(init=False)
    _starts: Callable[[int, Task, Goal], _Starts] = field(init=False)

    def __post_init__(self) -> None:
        self._scene = lru_cache(_CACHED_HOUSES)(lambda house: Scene(self.houses[house]))
        self._goals = lru_cache(_CACHED_HOUSES)(self._find_goals)
        self._starts = lru_cache(_CACHED_TABLES)(self._find_starts)
        for task in self.mixture.tasks:
            self._require_goal(task)

    def count_distinct(self) -> int | None:
        """Episodes before one comes again; None: there is no end of them."""
        return None

    def _require_goal(self, task: Task) -> None:
        for house in range(len(self.houses)):
            goals = self._goals(house, task).goals
            if any(len(self._starts(house, task, goal).walks) for goal in goals):
                return
        raise UserError(
            f"none of the {len(self.houses)} houses has a goal for {task.name} of the wanted types "
            "that can be reached",
            key="sampler.target_types",
            mend="name types that occur in the houses, lower min_distance, or add houses",
        )

    def _find_goals(self, house: int, task: Task) -> _Goals:
        goals = task.goals(self._scene(house), self.config.target_types)
        families = [goal.family or f"goal {i}" for i, goal in enumerate(goals)]
        sizes = Counter(families)
        return _Goals(goals, np.array([sizes[family] for family in families], np.int64))

    def _find_starts(self, house: int, task: Task, goal: Goal) -> _Starts:
        view = self.houses[house]
        fits, walks = task.starts(view, goal, self.config.min_distance, self.config.max_distance)
        return _Starts(view.reachable()[fits], walks[fits])

    def sample(self, env: NDArray[np.int64], episode: NDArray[np.int64]) -> Episodes:
        """The episodes with keys (seed, env[i], episode[i])."""
        n = len(env)
        specs = np.zeros(n, self.episode_dtype)
        paths = np.empty(n, np.float32)
        goals: list[Goal] = []
        sentences: list[str] = []
        for i in range(n):
            key = (self.seed, int(env[i]), int(episode[i]))
            task = self._task(key)
            goal, paths[i] = self._fill(specs[i : i + 1], task, key)
            goals.append(goal)
            verb = int(keyed_bits(*key, draw=_VERB) >> np.uint64(32))
            sentences.append(task.sentence(goal, verb))
        return Episodes(
            specs=specs,
            target_types=[goal.label for goal in goals],
            instructions=sentences,
            shortest_paths=paths,
            goals=goals,
        )

    def _task(self, key: tuple[int, int, int]) -> Task:
        cumulated = np.cumsum(self.mixture.weights)
        drawn = float(keyed_uniform(*key, draw=_TASK)) * cumulated[-1]
        return self.mixture.tasks[int(np.searchsorted(cumulated, drawn, side="right"))]

    def _fill(
        self, spec: NDArray[Any], task: Task, key: tuple[int, int, int]
    ) -> tuple[Goal, float]:
        for step in range(_TRIES):
            draw = keyed_bits(*key, step=step, draw=np.arange(5)) >> np.uint64(32)
            house = int(draw[_HOUSE]) % len(self.houses)
            goal = self._goal(house, task, (*key, step))
            if goal is None:
                continue
            starts = self._starts(house, task, goal)
            start = int(draw[_START]) % len(starts.walks)
            x, z = (float(v) for v in starts.places[start])
            yaw = self._yaw(house, task, goal, starts.places[start], int(draw[_YAW]))
            if self.houses[house].blocked(x, z, yaw):
                continue
            spec["seed"] = keyed_bits(*key, step=step, draw=_SEED)
            spec["house"], spec["x"], spec["z"], spec["yaw_deg"] = house, x, z, yaw
            spec["camera_noise"] = int(self.config.camera_noise)
            spec["randomise"] = self._random_looks(task)
            describe_goal(spec, task, goal.targets, goal.rooms)
            return goal, float(starts.walks[start])
        raise UserError(
            f"no start for {task.name} in {_TRIES} tries for episode key {key}",
            key="sampler",
            mend="check the houses with `flare houses check`, or add houses with such goals",
        )

    def _goal(self, house: int, task: Task, key: tuple[int, int, int, int]) -> Goal | None:
        """A goal with starts, families sharing alike; None where the house has none."""
        found = self._goals(house, task)
        uniforms = keyed_uniform(*key, draw=_GOAL + np.arange(len(found.goals)))
        # The smallest of exponential numbers with rates w falls on i with probability w_i / sum;
        # here the rate is one over the size of the goal's family.
        times = -np.log1p(-uniforms.astype(np.float64)) * found.family_sizes
        for i in np.argsort(times, kind="stable")[:_MOST_TRIED_GOALS]:
            goal = found.goals[int(i)]
            if len(self._starts(house, task, goal).walks):
                return goal
        return None

    def _yaw(
        self, house: int, task: Task, goal: Goal, start: NDArray[np.float32], draw: int
    ) -> float:
        """A multiple of 30 degrees, uniform over those that look near enough to the target."""
        most = int(min(self.config.max_start_turn_deg, task.start_turn_deg) // 30)
        if most >= 6 or not goal.targets:
            return 30.0 * (draw % 12)
        objects = self._scene(house).objects
        centers = np.array([objects[t].center for t in goal.targets])[:, [0, 2]]
        offsets = centers - start
        x, z = offsets[np.argmin((offsets**2).sum(1))]
        towards = round(float(np.rad2deg(np.arctan2(x, z))) / 30)
        return 30.0 * ((towards + draw % (2 * most + 1) - most) % 12)

    def _random_looks(self, task: Task) -> int:
        kept = ("textures",) if task.looks_matter else ()
        return sum(RANDOM_LOOKS[name] for name in set(self.config.randomise).difference(kept))


def describe_goal(
    spec: NDArray[Any], task: Task, targets: Sequence[int], rooms: Sequence[int]
) -> None:
    """Write task and goal into one row, [1] of EPISODE_DTYPE; house, start and looks are others'.

    Args:
        spec: the row, as an array of one.
        task: what the episode is judged by.
        targets: objects that would do, at most MAX_TARGETS.
        rooms: rooms that would do, below MAX_ROOMS.
    """
    spec["task"], spec["goal"] = TAGS[task.name], GOAL_KINDS.index(task.goal_kind)
    spec["max_steps"] = task.max_steps
    spec["target_rooms"] = sum(1 << room for room in rooms)
    spec["num_targets"] = len(targets)
    spec["targets"] = -1
    spec["targets"][0, : len(targets)] = targets
