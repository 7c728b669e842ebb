"""``flare houses parity``: the same episodes and actions in two worlds, side by side."""

import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.assembly import TaskConfig, WorldConfig, load_house_file, make_sampler, open_worlds
from flare.atomic import write_text
from flare.errors import require
from flare.rng import check_seed, keyed_uniform
from flare.specs import CameraSpec
from flare.tasks.mixture import TaskMixture
from flare.worlds.embedded import RANDOM_TEXTURES, House
from flare.worlds.world import Worlds, all_env_ids

_ACTION_DRAW = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityConfig:
    """What to play in which two worlds."""

    houses: Path  # house file
    max_houses: int | None = 20
    num_episodes: int = 200
    num_steps: int = 60  # actions of each episode, uniformly drawn; "done" is not among them
    num_envs: int = 4  # episodes at a time
    seed: int = 0
    camera: CameraSpec = field(default_factory=lambda: CameraSpec(num_cameras=2))
    task: TaskConfig = field(default_factory=TaskConfig)
    first: WorldConfig = field(default_factory=WorldConfig)
    second: WorldConfig = field(default_factory=lambda: WorldConfig(kind="thor"))
    json: Path | None = None  # write the numbers here too

    def __post_init__(self) -> None:
        for name in ("num_episodes", "num_steps", "num_envs"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        check_seed(self.seed)


@dataclass(slots=True)
class Difference:
    """How often, and how far, one quantity differed."""

    compared: int = 0
    differing: int = 0
    largest: float = 0.0

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Compare two arrays of the same shape, element by element."""
        self.compared += first.size
        if np.array_equal(first, second):
            return
        apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
        self.differing += int(np.count_nonzero(apart))
        self.largest = max(self.largest, float(np.nanmax(apart)))


class Comparison:
    """Differences of every fact, of frames, rewards and ends."""

    def __init__(self, facts_dtype: np.dtype[np.void]) -> None:
        self.facts = {name: Difference() for name in facts_dtype.names or ()}
        self.frames, self.rewards, self.ends = Difference(), Difference(), Difference()
        self.episodes = self.steps = self.faults = 0

    @property
    def is_equal(self) -> bool:
        """Whether nothing differed at all."""
        every = [*self.facts.values(), self.frames, self.rewards, self.ends]
        return self.faults == 0 and all(item.differing == 0 for item in every)

    def rows(self) -> dict[str, Difference]:
        """By name; facts that never differed are left out."""
        facts = {f"fact {name}": item for name, item in self.facts.items() if item.differing}
        return {"frames": self.frames, "rewards": self.rewards, "ends": self.ends, **facts}

    def text(self) -> str:
        """A table for the eye."""
        lines = [f"{self.episodes} episodes, {self.steps} steps, {self.faults} faults"]
        lines.append(f"{'':<28}{'compared':>12}{'differing':>12}{'largest':>12}")
        for name, item in self.rows().items():
            lines.append(f"{name:<28}{item.compared:>12}{item.differing:>12}{item.largest:>12.4g}")
        equal = sum(item.differing == 0 for item in self.facts.values())
        lines.append(f"{equal} of {len(self.facts)} facts are equal in every step")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The same as JSON."""
        rows = {
            name: {
                "compared": item.compared,
                "differing": item.differing,
                "largest": item.largest,
            }
            for name, item in self.rows().items()
        }
        counts = {"episodes": self.episodes, "steps": self.steps, "faults": self.faults}
        return {**counts, "is_equal": self.is_equal, "rows": rows}


class _Seat:
    """One of the two worlds with its arrays."""

    def __init__(self, worlds: Worlds) -> None:
        self.worlds = worlds
        self.frames = np.zeros((worlds.num_envs, *worlds.camera.frame_shape), np.uint8)
        self.facts = np.zeros(worlds.num_envs, worlds.facts_dtype)


def compare(
    first: Worlds,
    second: Worlds,
    specs: NDArray[np.void],
    mixture: TaskMixture,
    config: ParityConfig,
) -> Comparison:
    """Play the episodes ``specs`` [E] in both worlds, N at a time, and compare after each action."""
    seats = (_Seat(first), _Seat(second))
    comparison = Comparison(first.facts_dtype)
    n = first.num_envs
    actions = np.array([i for i, name in enumerate(first.action_names) if name != "done"])
    for begin in range(0, len(specs), n):
        chosen = specs[np.arange(begin, begin + n) % len(specs)]
        for seat in seats:
            seat.worlds.reset(all_env_ids(n), chosen, seat.frames, seat.facts)
        _look(seats, mixture, comparison)
        for step in range(config.num_steps):
            draws = keyed_uniform(
                config.seed, np.arange(n), np.full(n, begin), np.full(n, step), _ACTION_DRAW
            )
            row = actions[(draws * len(actions)).astype(np.int64)]
            for seat in seats:
                seat.worlds.step(row, seat.frames, seat.facts)
            _look(seats, mixture, comparison)
        comparison.episodes += min(n, len(specs) - begin)
    return comparison


def _look(seats: tuple[_Seat, _Seat], mixture: TaskMixture, comparison: Comparison) -> None:
    first, second = seats
    good = ~(first.worlds.faulted | second.worlds.faulted)
    comparison.faults += int(np.count_nonzero(~good))
    comparison.steps += int(np.count_nonzero(good))
    for name, difference in comparison.facts.items():
        difference.add(first.facts[name][good], second.facts[name][good])
    comparison.frames.add(first.frames[good], second.frames[good])
    judged = [mixture.judge(seat.facts[good]) for seat in seats]
    comparison.rewards.add(judged[0].reward, judged[1].reward)
    for name in ("terminated", "truncated", "success"):
        ends = [getattr(each, name) for each in judged]
        comparison.ends.add(ends[0], ends[1])


def run_parity(config: ParityConfig) -> int:
    """Print the comparison; 0 if both worlds were equal in everything, else 1."""
    mixture = config.task.build()
    houses = load_house_file(config.houses, limit=config.max_houses)
    pair = []
    for world in (config.first, config.second):
        world = replace(world, camera=config.camera, num_envs=config.num_envs)
        pair.append(open_worlds(houses, world.for_tasks(mixture), config.houses))
    with closing(pair[0]), closing(pair[1]):
        comparison = compare(pair[0], pair[1], _episodes(houses, config), mixture, config)
    print(comparison.text())
    if config.json is not None:
        write_text(config.json, json.dumps(comparison.record(), indent=1) + "\n")
    return 0 if comparison.is_equal else 1


def _episodes(houses: list[House], config: ParityConfig) -> NDArray[np.void]:
    """Starts as training has them; textures of objects are not AI2-THOR's to draw by themselves."""
    sampler = make_sampler(houses, config.task, config.seed)
    ids = np.arange(config.num_episodes)
    specs: NDArray[np.void] = sampler.sample(ids, np.zeros_like(ids)).specs
    specs["randomise"] &= ~RANDOM_TEXTURES
    return specs
