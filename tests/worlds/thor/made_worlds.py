"""THOR worlds over flare-thor for tests, with small frames and short deadlines."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.robots import load_robot
from flare.specs import ACTION_NAMES, CameraSpec
from flare.testing.random_play import random_episode
from flare.worlds.embedded import RANDOM_LIGHTS, RANDOM_MATERIALS, House, load_houses
from flare.worlds.thor import ThorConfig, ThorWorlds
from flare.worlds.world import all_env_ids
from tests.worlds.thor.places import PROGRAM, furnished

CAMERA = CameraSpec(width=24, height=16, num_cameras=2)
ITEMS = [
    ("furnished", furnished()),
    ("furnished again", furnished()),
    ("the bad house", furnished().replace("Sofa|2|0", "Sofa|2|BAD")),
]
HOUSES: list[House] = load_houses(ITEMS)
QUICK = ThorConfig(
    executable=f"{PROGRAM} --exact-crop", start_timeout=30, reset_timeout=6, step_timeout=3,
    first_backoff=0.1,
)  # fmt: skip


def specs_of(count: int, *, key: int = 0, houses: tuple[int, ...] = (0,)) -> NDArray[np.void]:
    """Random episodes, in the houses in turn."""
    robot = load_robot("stretch")
    rows = [random_episode(HOUSES[0], robot, (key, i), max_steps=90) for i in range(count)]
    specs = np.array(rows)
    specs["house"] = np.array(houses)[np.arange(count) % len(houses)]
    specs["randomise"] &= RANDOM_MATERIALS | RANDOM_LIGHTS
    return specs


@contextmanager
def thor_worlds(
    folder: Path, num_envs: int = 2, *, arguments: str = "", **changes: Any
) -> Iterator[ThorWorlds]:
    """Worlds whose client keeps its files in ``folder``; checks that nothing is left of them."""
    settings = {"executable": f"{QUICK.executable} {arguments}", **changes}
    config = replace(QUICK, base_dir=str(folder), **settings)
    worlds = ThorWorlds(
        ITEMS, num_envs=num_envs, config=config, camera=CAMERA, action_names=ACTION_NAMES,
        houses=HOUSES,
    )  # fmt: skip
    try:
        yield worlds
    finally:
        worlds.close()
    assert left_overs(folder) == []


def left_overs(folder: Path) -> list[str]:
    """Processes of worlds that keep their files in ``folder``, by the process listing."""
    listing = subprocess.run(
        ["ps", "-eo", "pid,ppid,args", "-ww"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    workers = [line.split()[0] for line in listing if "thor_worker" in line and str(folder) in line]
    return [
        line
        for line in listing
        if line.split()[0] in workers or (line.split()[1] in workers and "flare-thor" in line)
    ]


class Seat:
    """Worlds with the arrays they write."""

    def __init__(self, worlds: ThorWorlds, specs: NDArray[np.void] | None = None) -> None:
        n = worlds.num_envs
        self.worlds = worlds
        self.frames = np.zeros((n, *worlds.camera.frame_shape), np.uint8)
        self.facts = np.zeros(n, worlds.facts_dtype)
        self.specs = specs_of(n) if specs is None else specs
        self.reset(all_env_ids(n))

    def reset(self, envs: NDArray[np.int32]) -> None:
        """Start these envs' episodes again."""
        self.worlds.reset(envs, self.specs[envs], self.frames, self.facts)

    def step(self, name: str = "rotate_right") -> list[bool]:
        """One action in every env; which worlds failed."""
        actions = np.full(self.worlds.num_envs, ACTION_NAMES.index(name))
        self.worlds.step(actions, self.frames, self.facts)
        return [bool(each) for each in self.worlds.faulted]
