"""Episodes that files ask for, in place of drawn ones."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flare.data.specs import SpecSource
from flare.data.task_spec import TaskSpec
from flare.errors import UserError
from flare.rng import keyed_bits
from flare.tasks.sampler import Episodes, EpisodeSampler, describe_goal
from flare.tasks.scene import MAX_ROOMS, MAX_TARGETS, Goal
from flare.tasks.task import Task

_ORDER, _VERB, _SEED = 64, 65, 66  # which random number of a key decides what
_KEPT_ORDERS = 256
_TRIES = 1000  # specs that do not fit their houses, one after the other, before giving up


@dataclass(slots=True)
class SpecSampler(EpisodeSampler):
    """Takes house, start, targets and sentence from task specs; the rest is the config's.

    An env plays every spec of the mixture's tasks and of known houses once, in an order keyed by
    (seed, env, pass), before any comes again. A spec that cannot be read, whose start is blocked
    here, or whose targets the house does not have is passed over for the next.
    """

    source: SpecSource
    _usable: NDArray[np.int64] = field(init=False)
    _order: Callable[[int, int], NDArray[np.int64]] = field(init=False)
    _unfit: dict[int, UserError] = field(init=False, default_factory=dict)

    def _require_goal(self, task: Task) -> None:
        """Instead of looking for goals in the houses: specs of this task are there."""
        if not hasattr(self, "_usable"):
            names = {each.name for each in self.mixture.tasks}
            places = [self.source.place(i) for i in range(len(self.source))]
            fits = [name in names and 0 <= h < len(self.houses) for name, h in places]
            self._usable = np.flatnonzero(fits)
            self._order = lru_cache(_KEPT_ORDERS)(self._shuffled)
        if not any(self.source.place(int(i))[0] == task.name for i in self._usable):
            raise UserError(
                f"hold no episode of {task.name} in one of the {len(self.houses)} houses",
                key="sampler.specs",
                mend="give the house file that they were made for, and their tasks as task.names",
            )

    def count_distinct(self) -> int:
        """Specs that fit their houses. All are read now; those that do not fit never come again."""
        fits = [self._fitting(int(i), 0) is not None for i in self._usable]
        self._usable = self._usable[np.array(fits, np.bool_)]
        self._order = lru_cache(_KEPT_ORDERS)(self._shuffled)
        if not len(self._usable):
            raise self._nothing_fits()
        return len(self._usable)

    def sample(self, env: NDArray[np.int64], episode: NDArray[np.int64]) -> Episodes:
        """The episodes with keys (seed, env[i], episode[i])."""
        specs = np.zeros(len(env), self.episode_dtype)
        paths = np.empty(len(env), np.float32)
        goals: list[Goal] = []
        sentences: list[str] = []
        for i in range(len(env)):
            key = (self.seed, int(env[i]), int(episode[i]))
            spec, goal = self._next(key)
            task = self.mixture.tasks[self._task_names().index(spec.task)]
            row = specs[i : i + 1]
            row["seed"], row["house"] = keyed_bits(*key, draw=_SEED), spec.house
            row["x"], row["z"], row["yaw_deg"] = spec.start
            row["camera_noise"] = int(self.config.camera_noise)
            row["randomise"] = self._random_looks(task)
            describe_goal(row, task, goal.targets, goal.rooms)
            paths[i] = self._walk(task, goal, spec)
            goals.append(goal)
            sentences.append(goal.words)
        return Episodes(
            specs=specs, target_types=[goal.label for goal in goals], instructions=sentences,
            shortest_paths=paths, goals=goals,
        )  # fmt: skip

    def _task_names(self) -> list[str]:
        return [task.name for task in self.mixture.tasks]

    def _shuffled(self, env: int, turn: int) -> NDArray[np.int64]:
        count = np.arange(len(self._usable))
        return self._usable[np.argsort(keyed_bits(self.seed, env, turn, count, _ORDER))]

    def _next(self, key: tuple[int, int, int]) -> tuple[TaskSpec, Goal]:
        _, env, episode = key
        for number in range(episode, episode + _TRIES):
            turn, place = divmod(number, len(self._usable))
            verbs = int(keyed_bits(*key, draw=_VERB) >> np.uint64(32))
            found = self._fitting(int(self._order(env, turn)[place]), verbs)
            if found is not None:
                return found
        raise self._nothing_fits()

    def _fitting(self, number: int, verbs: int) -> tuple[TaskSpec, Goal] | None:
        if number in self._unfit:
            return None
        try:
            spec = self.source.read(number)
            goal = self._found(spec, verbs)
            if goal is None:
                raise UserError("names nothing of its house", mend="give its house file")
            if self.houses[spec.house].blocked(*spec.start):
                raise UserError(f"starts at {spec.start}, which is blocked", mend="move it")
        except UserError as error:
            self._unfit[number] = error
            return None
        return spec, goal

    def _nothing_fits(self) -> UserError:
        last = list(self._unfit.values())[-1]
        return UserError(
            f"{len(self._unfit)} task specs do not fit their houses; the last: {last}",
            key="sampler.specs",
            mend="give the house file that they were made for",
        )

    def _found(self, spec: TaskSpec, verbs: int) -> Goal | None:
        """The goal in our house; None if nothing of it is there. Its words are the sentence."""
        house = self.houses[spec.house]
        scene = self._scene(spec.house)
        if spec.task == "RoomVisit":
            rooms = tuple(range(min(len(scene.room_types), MAX_ROOMS)))
            return Goal(label=f"{len(rooms)} rooms", words=spec.sentence(verbs), rooms=rooms)
        words = spec.sentence(verbs)
        if spec.task == "RoomNav":
            numbers = {str(room["id"]): i for i, room in enumerate(house.rooms())}
            rooms = tuple(numbers[r] for r in spec.rooms if numbers.get(r, MAX_ROOMS) < MAX_ROOMS)
            label = scene.room_types[rooms[0]] if rooms else ""
            return Goal(label=label, words=words, rooms=rooms) if rooms else None
        numbers = {str(item["id"]): i for i, item in enumerate(house.objects())}
        targets = [numbers[t] for t in spec.targets if t in numbers]
        if not targets:
            return None
        label = str(spec.document.get("affordance") or scene.objects[targets[0]].type)
        if len(targets) > MAX_TARGETS:  # those that the agent may come by
            x, z, _ = spec.start
            centers = {t: scene.objects[t].center for t in targets}
            targets.sort(key=lambda t: np.hypot(centers[t][0] - x, centers[t][2] - z))
        return Goal(label=label, words=words, targets=tuple(targets[:MAX_TARGETS]))

    def _walk(self, task: Task, goal: Goal, spec: TaskSpec) -> float:
        """Metres to walk from the place nearest to the start; -1 where the task defines none."""
        house = self.houses[spec.house]
        _, walks = task.starts(house, goal, 0.0, np.inf)
        offsets = house.reachable() - np.array(spec.start[:2], np.float32)
        return float(walks[np.argmin((offsets**2).sum(axis=1))]) if len(walks) else -1.0
