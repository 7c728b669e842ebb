"""Which house, which goal, which start: episodes as a pure function of (seed, env, episode)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.rng import keyed_bits, keyed_integers
from flare.tasks.instructions import object_nav_instruction

MAX_TARGETS = 16  # csrc/sim/facts.hpp kMaxTargets
_RANDOM_MATERIALS = 1  # csrc/sim/facts.hpp kRandomMaterials
_START_TRIES = 32


class HouseView(Protocol):
    """What a sampler reads of a house; any world's house object that answers this will do."""

    @property
    def source(self) -> str:
        """What to call the house in messages."""
        ...

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Objects in index order; of each the keys "type" and "center" (x, y, z) are read."""
        ...

    def reachable(self) -> NDArray[np.float32]:
        """[M, 2] x, z of the places where the robot can stand, m."""
        ...

    def geodesic(self, targets: list[int]) -> NDArray[np.float32]:
        """[M] m to walk from each place until a target is within 2 m; -1 where there is no way."""
        ...

    def blocked(self, x: float, z: float, yaw_deg: float) -> bool:
        """Whether the robot cannot stand there with this heading."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplerConfig:
    """Which episodes are drawn."""

    target_types: tuple[str, ...] = ()  # goal categories; empty: every type with a target
    min_distance: float = 1.0  # m to walk from the start until a target is within 2 m
    max_distance: float = 1e9  # m
    max_start_turn_deg: float = 180.0  # start heading, at most this far from the nearest target's
    camera_noise: bool = True  # the original's tilt, field-of-view and material randomisation

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Episodes:
    """A batch of episode starts; rows of every field belong together."""

    specs: NDArray[Any]  # [n] EPISODE_DTYPE
    target_types: list[str]
    instructions: list[str]
    shortest_paths: NDArray[np.float32]  # [n] m


@dataclass(slots=True)
class _Goal:
    """One goal category in one house: its instances and the starts from which it can be reached."""

    object_type: str
    targets: list[int]
    starts: NDArray[np.float32]  # [s, 2] x, z
    distances: NDArray[np.float32]  # [s] m
    centers: NDArray[np.float32]  # [t, 2] x, z of the instances


@dataclass(slots=True)
class EpisodeSampler:
    """Draws episodes over houses and goals; the same key always gives the same episode."""

    houses: Sequence[HouseView]
    episode_dtype: np.dtype[Any]
    config: SamplerConfig
    seed: int
    _goals: list[list[_Goal]] = field(init=False)
    _usable: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._goals = [self._goals_of(house) for house in self.houses]
        self._usable = np.flatnonzero([len(goals) > 0 for goals in self._goals])
        if len(self._usable) == 0:
            raise UserError(
                f"none of the {len(self.houses)} houses has a goal of the wanted types that can be "
                "reached",
                key="sampler.target_types",
                mend="name types that occur in the houses, lower min_distance, or add houses",
            )

    @property
    def num_usable_houses(self) -> int:
        """Houses that have at least one goal."""
        return len(self._usable)

    def _goals_of(self, house: HouseView) -> list[_Goal]:
        by_type: dict[str, list[int]] = {}
        objects = house.objects()
        for index, item in enumerate(objects):
            if not self.config.target_types or item["type"] in self.config.target_types:
                by_type.setdefault(item["type"], []).append(index)
        cells = house.reachable()
        goals = []
        for object_type, targets in sorted(by_type.items()):
            if len(targets) > MAX_TARGETS:
                continue  # "find a book" in a library: every shelf would do, and the facts hold 16
            distance = house.geodesic(targets)
            fits = (distance >= self.config.min_distance) & (distance <= self.config.max_distance)
            if fits.any():
                centers = np.array([objects[t]["center"] for t in targets], np.float32)[:, [0, 2]]
                goals.append(_Goal(object_type, targets, cells[fits], distance[fits], centers))
        return goals

    def sample(self, env: NDArray[np.int64], episode: NDArray[np.int64]) -> Episodes:
        """The episodes with keys (seed, env[i], episode[i])."""
        n = len(env)
        specs = np.zeros(n, self.episode_dtype)
        paths = np.empty(n, np.float32)
        types: list[str] = []
        sentences: list[str] = []
        for i in range(n):
            key = (self.seed, int(env[i]), int(episode[i]))
            goal, paths[i] = self._fill(specs[i : i + 1], key)
            types.append(goal.object_type)
            verb = int(keyed_integers(1 << 16, *key, draw=3))
            sentences.append(object_nav_instruction(goal.object_type, verb))
        return Episodes(
            specs=specs, target_types=types, instructions=sentences, shortest_paths=paths
        )

    def _start_yaw(self, goal: _Goal, start: NDArray[np.float32], draw: int) -> float:
        """A multiple of 30 degrees, uniform over those that max_start_turn_deg allows."""
        most = int(self.config.max_start_turn_deg // 30)
        if most >= 6:
            return 30.0 * (draw % 12)
        offsets = goal.centers - start
        x, z = offsets[np.argmin((offsets**2).sum(1))]
        towards = round(float(np.rad2deg(np.arctan2(x, z))) / 30)
        return 30.0 * ((towards + draw % (2 * most + 1) - most) % 12)

    def _fill(self, spec: NDArray[Any], key: tuple[int, int, int]) -> tuple[_Goal, float]:
        for step in range(_START_TRIES):
            draw = keyed_bits(*key, step=step, draw=np.arange(4)) >> np.uint64(32)
            house = int(self._usable[int(draw[0]) % len(self._usable)])
            goal = self._goals[house][int(draw[1]) % len(self._goals[house])]
            start = int(draw[2]) % len(goal.starts)
            x, z = goal.starts[start]
            yaw = self._start_yaw(goal, goal.starts[start], int(draw[3]))
            if not self.houses[house].blocked(float(x), float(z), yaw):
                spec["seed"] = keyed_bits(*key, step=step, draw=9)
                spec["house"], spec["x"], spec["z"], spec["yaw_deg"] = house, x, z, yaw
                spec["num_targets"] = len(goal.targets)
                spec["camera_noise"] = int(self.config.camera_noise)
                spec["randomise"] = _RANDOM_MATERIALS if self.config.camera_noise else 0
                spec["targets"] = -1
                spec["targets"][0, : len(goal.targets)] = goal.targets
                return goal, float(goal.distances[start])
        raise UserError(
            f"no free start in {_START_TRIES} tries for episode key {key}",
            key="sampler",
            mend="check the houses with `flare houses check`",
        )
