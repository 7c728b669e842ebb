"""Random-action episodes over many houses, judged at every step: ``python -m flare.testing.soak``.

Every house of the given files, and as many generated ones, is played by Stretch with all twenty
actions and by LoCoBot with its own; see EpisodeWatch for what is asked of each step. Stops at the
first broken promise and says how to repeat it.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from flare.console import Console
from flare.errors import UserError
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.robots import RobotSpec, load_robot
from flare.specs import CameraSpec
from flare.testing.house_plan import HousePlan
from flare.testing.random_play import Grasping, random_actions, random_episode
from flare.testing.watch import ConformanceError, EpisodeWatch
from flare.worlds.embedded import EmbeddedWorlds, House, load_houses
from flare.worlds.world import all_env_ids

_ROBOT = 65535  # instance id of the robot's own parts (EmbeddedWorlds.render)
_CHUNK = 8  # houses played together
_LOCOBOTS = (2, 5, 8)  # of ten episodes these are LoCoBot's


@dataclass(frozen=True, kw_only=True, slots=True)
class SoakConfig:
    """Configuration of the soak."""

    houses: tyro.conf.Positional[tuple[Path, ...]] = ()  # house files
    generated: int = 220  # houses made for the occasion
    episodes: int = 10_000  # shared out among the houses
    steps: int = 100  # of each episode
    seed: int = 0
    limit: int | None = None  # no more than this many houses of each file
    camera: CameraSpec = field(default_factory=lambda: CameraSpec(width=24, height=16))
    num_threads: int = 2

    def __post_init__(self) -> None:
        """Refuse a soak of nothing. Raises UserError."""
        for name in ("episodes", "steps", "num_threads"):
            if getattr(self, name) < 1:
                raise UserError(f"is {getattr(self, name)}", key=name, mend="give 1 or more")
        if not self.houses and self.generated < 1:
            raise UserError("no houses", key="generated", mend="name files or generate some")


@dataclass(slots=True)
class Tally:
    """What was played."""

    houses: int = 0
    objects: int = 0
    episodes: int = 0
    steps: int = 0
    failed: int = 0  # actions that the world refused
    picked_up: int = 0
    dropped: int = 0
    rooms_entered: int = 0  # beyond each episode's first
    metres: float = 0.0
    robots: dict[str, int] = field(default_factory=dict)  # episodes of each

    def add_step(self, facts: NDArray[np.void]) -> None:
        """Count one step of all envs."""
        self.steps += len(facts)
        self.failed += int((facts["last_action_success"] == 0).sum())
        self.picked_up += int(facts["picked_up"].sum())
        self.dropped += int(facts["dropped"].sum())

    def add_ends(self, robot: RobotSpec, facts: NDArray[np.void]) -> None:
        """Count the ends of all envs' episodes."""
        self.episodes += len(facts)
        self.robots[robot.name] = self.robots.get(robot.name, 0) + len(facts)
        self.metres += float(facts["travelled"].sum())
        self.rooms_entered += sum(max(0, int(s).bit_count() - 1) for s in facts["rooms_seen"])

    def __str__(self) -> str:
        played = ", ".join(f"{count} of {name}" for name, count in sorted(self.robots.items()))
        return (
            f"{self.episodes} episodes ({played}) in {self.houses} houses with {self.objects} "
            f"objects: {self.steps} steps, {self.failed} of them refused, {self.metres:.0f} m, "
            f"{self.rooms_entered} rooms entered, {self.picked_up} objects taken, "
            f"{self.dropped} let go; no promise broken"
        )


def soak(config: SoakConfig, console: Console) -> Tally:
    """Play all episodes. Raises: ConformanceError at the first broken promise."""
    sources = _sources(config)
    shares = np.diff(np.linspace(0, config.episodes, len(sources) + 1).round().astype(int))
    tally = Tally()
    with console.stage("soak", total=config.episodes, unit="episodes") as stage:
        for first in range(0, len(sources), _CHUNK):
            houses = load_houses(sources[first : first + _CHUNK], config.num_threads)
            tally.houses += len(houses)
            tally.objects += sum(len(house.objects()) for house in houses)
            plans = [HousePlan(house) for house in houses]
            starts = [(k, i) for k in range(len(houses)) for i in range(shares[first + k])]
            for robot, episodes in _shared_out(starts):
                _play(config, first, houses, plans, robot, episodes, tally)
                stage.update(completed=tally.episodes)
    return tally


def _sources(config: SoakConfig) -> list[tuple[str, str]]:
    sources = [pair for file in config.houses for pair in read_houses(file, config.limit)]
    shape = GeneratorConfig(num_rooms=(1, 5))
    for index in range(config.generated):
        house = generate_house(config.seed, "test", index, shape)
        sources.append((f"generated {config.seed} test {index}", json.dumps(house)))
    return sources


def _shared_out(
    starts: Sequence[tuple[int, int]],
) -> Iterator[tuple[RobotSpec, list[tuple[int, int]]]]:
    """Each robot's (house, episode) pairs."""
    for name, is_locobots in (("stretch", False), ("locobot", True)):
        episodes = [s for i, s in enumerate(starts) if (i % 10 in _LOCOBOTS) == is_locobots]
        if episodes:
            yield load_robot(name), episodes


def _play(
    config: SoakConfig,
    first: int,
    houses: list[House],
    plans: list[HousePlan],
    robot: RobotSpec,
    episodes: list[tuple[int, int]],
    tally: Tally,
) -> None:
    count = len(episodes)
    camera = CameraSpec(
        width=config.camera.width, height=config.camera.height, num_cameras=robot.num_cameras
    )
    worlds = EmbeddedWorlds(
        houses,
        num_envs=count,
        robots=[robot],
        num_threads=config.num_threads,
        camera=camera,
        action_names=robot.actions,
    )
    specs = np.array(
        [
            random_episode(houses[k], robot, (config.seed, first + k, i), max_steps=config.steps)
            for k, i in episodes
        ]
    )
    specs["house"] = [k for k, _ in episodes]
    frames = np.zeros((count, *camera.frame_shape), np.uint8)
    facts = np.zeros(count, worlds.facts_dtype)
    key = (config.seed, first, 1)
    actions = random_actions(robot.actions, config.steps, count, key)
    worlds.reset(all_env_ids(count), specs, frames, facts)
    watch = EpisodeWatch(worlds, specs, frames, facts, plans)
    grasping = Grasping(houses, specs, robot.actions, key) if robot.arm is not None else None
    for row in actions:
        if grasping is not None:
            row = grasping.guide(row, facts)
        worlds.step(row, frames, facts)
        watch.observe(row, frames, facts)
        tally.add_step(facts)
    _check_ids(worlds, plans, specs["house"])
    tally.add_ends(robot, facts)
    worlds.close()


def _check_ids(
    worlds: EmbeddedWorlds, plans: list[HousePlan], worlds_houses: NDArray[np.int32]
) -> None:
    """Objects have the ids they had, and an image knows no others."""
    for house, plan in zip(worlds.houses, plans, strict=True):
        if tuple(item["id"] for item in house.objects()) != plan.object_ids:
            raise ConformanceError(f"{house.source}: object ids changed in an episode")
    ids = worlds.render(ids=True)[2]
    assert ids is not None
    counts = np.array([len(plan.object_ids) for plan in plans])[worlds_houses]
    is_known = (ids <= counts[:, None, None]) | (ids == _ROBOT)
    if not is_known.all():
        raise ConformanceError("an image shows an object that its house does not have")


def main(args: Sequence[str] | None = None) -> int:
    """Run the soak; 0 if every promise was kept."""
    try:
        config = tyro.cli(SoakConfig, args=args, description=__doc__)
        start = time.monotonic()
        with Console("soak") as console:
            tally = soak(config, console)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except ConformanceError as error:
        print(f"BROKEN  {error}", file=sys.stderr)
        return 1
    print(f"{tally} in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
