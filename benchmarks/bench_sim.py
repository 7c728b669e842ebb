"""The embedded simulator: whole steps (move, render, facts), loading and resets.

Houses are real ones of 4 to 8 rooms when the shared folder is there ($FLARE_SHARED, else
../shared), else generated ones; the result says which. A step is one action of one world, with
every camera drawn. "flare" runs on one thread and "two threads" does the same work on two; the
limit is one core's memcpy of the frames that a step writes.
"""

import contextlib
import gzip
import itertools
import json
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.run import Case, Contenders
from flare.houses.generator import GeneratorConfig, generate_house
from flare.specs import CameraSpec
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, House, load_house, load_houses
from flare.worlds.world import all_env_ids

NUM_HOUSES = 8
NUM_ENVS = 16
CAMERAS = [(84, 48, 1), (84, 48, 2), (384, 224, 2)]
MOVES = 512  # actions drawn beforehand for each world


SHARED = Path(os.environ.get("FLARE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
REAL_HOUSES = SHARED / "houses" / "objaverse_val.jsonl.gz"
HOUSES_FROM = "ProcTHOR-Objaverse" if REAL_HOUSES.is_file() else "generated"


@cache
def house_texts() -> list[tuple[str, str]]:
    """Source names and documents of the houses, 4 to 8 rooms each."""
    if not REAL_HOUSES.is_file():
        config = GeneratorConfig(num_rooms=(4, 8))
        documents = [generate_house(0, "val", i, config) for i in range(NUM_HOUSES)]
        return [(f"generated {i}", json.dumps(d)) for i, d in enumerate(documents)]
    with gzip.open(REAL_HOUSES, "rt") as file:
        lines = [(f"val line {i + 1}", line) for i, line in enumerate(file)]
    kept = (item for item in lines if 4 <= load_house(item[1], item[0]).num_rooms <= 8)
    return list(itertools.islice(kept, NUM_HOUSES))


@cache
def houses() -> list[House]:
    """The houses, loaded once for all cases."""
    return load_houses(house_texts())


def make_specs(count: int) -> np.ndarray:
    """Episodes at random free places, one target each, cameras and materials randomised."""
    rng = np.random.default_rng(0)
    specs = np.zeros(count, EPISODE_DTYPE)
    for i, row in enumerate(specs):
        house = houses()[i % NUM_HOUSES]
        cells = house.reachable()
        while True:
            (x, z), yaw = cells[rng.integers(len(cells))], 30.0 * rng.integers(12)
            if not house.blocked(float(x), float(z), float(yaw)):
                break
        row["seed"], row["house"], row["camera_noise"] = i, i % NUM_HOUSES, 1
        row["x"], row["z"], row["yaw_deg"] = x, z, yaw
        row["num_targets"] = 1
        row["targets"][0] = rng.integers(len(house.objects()))
    return specs


class Stepper:
    """Worlds that take the next of their random navigation actions at each call."""

    def __init__(self, camera: CameraSpec, num_threads: int) -> None:
        self.worlds = EmbeddedWorlds(
            houses(), num_envs=NUM_ENVS, num_threads=num_threads, camera=camera
        )
        self.frames = np.zeros((NUM_ENVS, *camera.frame_shape), np.uint8)
        self.facts = np.zeros(NUM_ENVS, self.worlds.facts_dtype)
        rng = np.random.default_rng(1)
        self.actions = itertools.cycle(rng.choice([0, 0, 1, 2, 3, 5, 6], (MOVES, NUM_ENVS)))
        self.specs = make_specs(NUM_ENVS)
        self.reset()

    def reset(self) -> None:
        """New episodes in every world."""
        self.worlds.reset(all_env_ids(NUM_ENVS), self.specs, self.frames, self.facts)

    def step(self) -> None:
        """One action in every world."""
        self.worlds.step(next(self.actions), self.frames, self.facts)


@contextlib.contextmanager
def step_setup(camera: CameraSpec) -> Iterator[Contenders]:
    """One thread, two threads, and memcpy of the frames."""
    one, two = Stepper(camera, 1), Stepper(camera, 2)
    copy = np.empty_like(one.frames)
    calls: dict[str, Callable[[], object]] = {
        "flare": one.step,
        "two threads": two.step,
        "memcpy": partial(np.copyto, copy, one.frames),
    }
    yield Contenders(calls)


@contextlib.contextmanager
def reset_setup(camera: CameraSpec) -> Iterator[Contenders]:
    """New episodes in cached houses, first frame included."""
    yield Contenders({"flare": Stepper(camera, 1).reset})


@contextlib.contextmanager
def load_setup() -> Iterator[Contenders]:
    """JSON text to a house ready to be played."""
    items = house_texts()
    yield Contenders({"flare": lambda: load_houses(items)})


def step_case(width: int, height: int, num_cameras: int) -> Case:
    """Whole steps at one frame size."""
    camera = CameraSpec(width=width, height=height, num_cameras=num_cameras)
    return Case(
        id=f"sim.step/{width}x{height}/C={num_cameras}",
        unit="steps/s",
        work=NUM_ENVS,
        setup=partial(step_setup, camera),
        limit="memcpy",
        config={"num_envs": NUM_ENVS, "houses": HOUSES_FROM},
    )


CASES = [
    *(step_case(*camera) for camera in CAMERAS),
    Case(
        id="sim.reset/84x48/C=1",
        unit="resets/s",
        work=NUM_ENVS,
        setup=partial(reset_setup, CameraSpec(width=84, height=48)),
        config={"num_envs": NUM_ENVS, "houses": HOUSES_FROM},
    ),
    Case(
        id="sim.load",
        unit="houses/s",
        work=NUM_HOUSES,
        setup=load_setup,
        config={"num_houses": NUM_HOUSES, "houses": HOUSES_FROM},
    ),
]
