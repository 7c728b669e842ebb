"""The embedded simulator: whole steps (move, render, facts), loading and resets.

Houses are real ones of 4 to 8 rooms when the shared folder is there ($FLARE_SHARED, else
../shared), else generated ones; the result says which. A step is one action of one world, with
every camera drawn. "flare" runs on one thread and "two threads" does the same work on two. "two
processes" does it too, half of the worlds on one thread each: what two cores of this machine can do
at most. The limit is one core's memcpy of the frames that a step writes.

A cold reset is one with a goal that its house was never asked for before; every goal of every house
of two files is asked for once, on one thread, and its processor time taken. Walks are found then.

AI2-THOR is not run: 10 to 30 steps/s is the range in which one of its processes, a GPU at hand, is
known to draw these two cameras at full size.
"""

import contextlib
import gzip
import itertools
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks.mesh_pack import write_mesh_pack
from benchmarks.run import Case, Contenders
from flare.assembly import load_house_file
from flare.houses.generator import GeneratorConfig, generate_house
from flare.specs import CameraSpec
from flare.tasks.registry import TASKS
from flare.tasks.sampler import describe_goal
from flare.tasks.scene import Scene
from flare.tasks.task import Task
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, House, load_house, load_houses
from flare.worlds.world import all_env_ids

NUM_HOUSES = 8
NUM_ENVS = 16
CAMERAS = [(84, 48, 1), (84, 48, 2), (384, 224, 2)]
MOVES = 512  # actions drawn beforehand for each world
STEPS = 8  # a call: long beside the messages to a process
EXTRA_WORLDS = 2**15  # to weigh one
COLD_TASKS = ("ObjectNav", "Fetch", "RoomVisit", "RoomNav")  # one of each kind of goal
COLD_FILES = ("objaverse_val.jsonl.gz", "thor_hard_val.jsonl.gz")
AI2THOR = {"AI2-THOR, slow": 10.0, "AI2-THOR, fast": 30.0}
SPAWN = multiprocessing.get_context("spawn")

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


def make_specs(count: int, among: Sequence[House]) -> np.ndarray:
    """Episodes at random free places, one target each, cameras and materials randomised."""
    rng = np.random.default_rng(0)
    specs = np.zeros(count, EPISODE_DTYPE)
    for i, row in enumerate(specs):
        house = among[i % len(among)]
        cells = house.reachable()
        while True:
            (x, z), yaw = cells[rng.integers(len(cells))], 30.0 * rng.integers(12)
            if not house.blocked(float(x), float(z), float(yaw)):
                break
        row["seed"], row["house"], row["camera_noise"] = i, i % len(among), 1
        row["x"], row["z"], row["yaw_deg"] = x, z, yaw
        row["num_targets"] = 1
        row["targets"][0] = rng.integers(len(house.objects()))
    return specs


class Stepper:
    """Worlds that take the next of their random navigation actions at each call."""

    def __init__(
        self,
        camera: CameraSpec,
        num_threads: int = 1,
        ids: slice = slice(0, NUM_ENVS),
        among: Sequence[House] = (),
    ) -> None:
        among = among or houses()
        self.specs = make_specs(NUM_ENVS, among)[ids]
        self.num_envs = len(self.specs)
        self.worlds = EmbeddedWorlds(
            among, num_envs=self.num_envs, num_threads=num_threads, camera=camera
        )
        self.frames = np.zeros((self.num_envs, *camera.frame_shape), np.uint8)
        self.facts = np.zeros(self.num_envs, self.worlds.facts_dtype)
        moves = np.random.default_rng(1).choice([0, 0, 1, 2, 3, 5, 6], (MOVES, NUM_ENVS))
        self.actions = itertools.cycle(np.ascontiguousarray(moves[:, ids]))
        self.reset()

    def reset(self) -> None:
        """New episodes in every world."""
        self.worlds.reset(all_env_ids(self.num_envs), self.specs, self.frames, self.facts)

    def run(self) -> None:
        """STEPS actions in every world."""
        for _ in range(STEPS):
            self.worlds.step(next(self.actions), self.frames, self.facts)

    def render(self) -> None:
        """Draws what STEPS actions would draw, without any."""
        for _ in range(STEPS):
            for camera in range(self.frames.shape[1]):
                self.worlds.render(camera=camera)

    def plan(self) -> None:
        """The expert's actions of STEPS steps."""
        for _ in range(STEPS):
            self.worlds.expert_actions()


def serve_steps(orders: Connection, camera: CameraSpec, ids: slice) -> None:
    """A process that steps its part of the worlds whenever it is told to."""
    stepper = Stepper(camera, ids=ids)
    orders.send(None)
    while orders.recv():
        stepper.run()
        orders.send(None)


@contextlib.contextmanager
def two_processes(camera: CameraSpec) -> Iterator[Callable[[], None]]:
    """STEPS actions in every world, half of the worlds in each of two processes."""
    half = NUM_ENVS // 2
    pipes = [SPAWN.Pipe() for _ in range(2)]
    parts = [slice(0, half), slice(half, NUM_ENVS)]
    processes = [
        SPAWN.Process(target=serve_steps, args=(theirs, camera, part), daemon=True)
        for (_, theirs), part in zip(pipes, parts, strict=True)
    ]
    orders = [mine for mine, _ in pipes]
    for process in processes:
        process.start()
    for pipe in orders:
        pipe.recv()

    def run() -> None:
        for pipe in orders:
            pipe.send(True)
        for pipe in orders:
            pipe.recv()

    yield run
    for pipe, process in zip(orders, processes, strict=True):
        pipe.send(False)
        process.join()


@contextlib.contextmanager
def step_setup(camera: CameraSpec) -> Iterator[Contenders]:
    """One thread, two threads, two processes, and memcpy of the frames."""
    one, two = Stepper(camera), Stepper(camera, 2)
    copy = np.empty_like(one.frames)

    def copy_frames() -> None:
        for _ in range(STEPS):
            np.copyto(copy, one.frames)

    with two_processes(camera) as run_both:
        calls: dict[str, Callable[[], object]] = {
            "flare": one.run,
            "two threads": two.run,
            "two processes": run_both,
            "memcpy": copy_frames,
        }
        yield Contenders(calls)


@contextlib.contextmanager
def split_setup(camera: CameraSpec) -> Iterator[Contenders]:
    """The whole step beside its parts: drawing alone, and all but drawing (tiny frames)."""
    whole = Stepper(camera)
    blind = Stepper(CameraSpec(width=8, height=8, num_cameras=camera.num_cameras))
    calls: dict[str, Callable[[], object]] = {
        "flare": whole.run,
        "draw only": whole.render,
        "8x8 frames": blind.run,
        "expert only": blind.plan,
    }
    yield Contenders(calls)


@contextlib.contextmanager
def mesh_setup(camera: CameraSpec) -> Iterator[Contenders]:
    """A house whose every object is a mesh beside the same with proxies; made in a minute."""
    proxies, items = houses()[:1], house_texts()[:1]
    with tempfile.TemporaryDirectory() as folder:
        pack = write_mesh_pack(proxies, Path(folder))
        meshes = load_houses(items, assets=pack)
        calls: dict[str, Callable[[], object]] = {
            "flare": Stepper(camera, among=meshes).run,
            "proxies": Stepper(camera, among=proxies).run,
        }
        yield Contenders(calls)


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_per_world() -> float:
    """What one more world in a cached house costs, its frames aside."""
    camera = CameraSpec(width=8, height=8)
    specs = np.resize(make_specs(NUM_ENVS, houses()), EXTRA_WORLDS)
    frames = np.ones((EXTRA_WORLDS, *camera.frame_shape), np.uint8)
    before = resident_bytes()
    worlds = EmbeddedWorlds(houses(), num_envs=EXTRA_WORLDS, camera=camera)
    facts = np.ones(EXTRA_WORLDS, worlds.facts_dtype)
    worlds.reset(all_env_ids(EXTRA_WORLDS), specs, frames, facts)
    return (resident_bytes() - before) / EXTRA_WORLDS


@contextlib.contextmanager
def reset_setup(camera: CameraSpec) -> Iterator[Contenders]:
    """New episodes in cached houses, first frame included."""
    measured = {"bytes per world": bytes_per_world()}
    yield Contenders({"flare": Stepper(camera).reset}, measured=measured)


@cache
def cold_houses() -> list[House]:
    """All real houses of two files, the largest among them; or the few of every case."""
    if not REAL_HOUSES.is_file():
        return houses()
    return [house for name in COLD_FILES for house in load_house_file(REAL_HOUSES.with_name(name))]


def cold_specs(task: Task) -> Iterator[np.ndarray]:
    """Every goal of every house once, [1] each, from one free place of the house."""
    for index, house in enumerate(cold_houses()):
        free = (c for c in house.reachable() if not house.blocked(float(c[0]), float(c[1]), 0.0))
        x, z = next(free)
        for goal in task.goals(Scene(house), ()):
            spec = np.zeros(1, EPISODE_DTYPE)
            spec["house"], spec["x"], spec["z"] = index, x, z
            describe_goal(spec, task, goal.targets, goal.rooms)
            yield spec


def cold_reset_ms(task: Task, camera: CameraSpec) -> np.ndarray:
    """Processor time of each reset with a goal that was never asked for before, ms."""
    worlds = EmbeddedWorlds(cold_houses(), num_envs=1, camera=camera)
    frames = np.zeros((1, *camera.frame_shape), np.uint8)
    facts = np.zeros(1, worlds.facts_dtype)
    times = []
    for spec in cold_specs(task):
        before = time.thread_time_ns()
        worlds.reset(all_env_ids(1), spec, frames, facts)
        times.append(time.thread_time_ns() - before)
    return np.array(times) / 1e6


@contextlib.contextmanager
def cold_reset_setup(name: str, camera: CameraSpec) -> Iterator[Contenders]:
    """Resets with new goals; what is timed is one that finds its goal in the cache."""
    times = cold_reset_ms(TASKS[name](), camera)
    median, p99, worst = np.quantile(times, [0.5, 0.99, 1.0]).tolist()
    measured = {"goals": float(len(times)), "median ms": median, "p99 ms": p99, "worst ms": worst}
    yield Contenders({"flare": Stepper(camera).reset}, measured=measured)


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
        work=NUM_ENVS * STEPS,
        setup=partial(step_setup, camera),
        limit="memcpy",
        config={"num_envs": NUM_ENVS, "houses": HOUSES_FROM},
        published=AI2THOR if (width, num_cameras) == (384, 2) else {},
    )


def split_case(width: int, height: int, num_cameras: int) -> Case:
    """What a step costs, part by part."""
    return Case(
        id=f"sim.split/{width}x{height}/C={num_cameras}",
        unit="steps/s",
        work=NUM_ENVS * STEPS,
        setup=partial(split_setup, CameraSpec(width=width, height=height, num_cameras=num_cameras)),
        config={"num_envs": NUM_ENVS, "houses": HOUSES_FROM},
    )


CASES = [
    *(step_case(*camera) for camera in CAMERAS),
    *(split_case(*camera) for camera in CAMERAS[1:]),
    *(
        Case(
            id=f"sim.mesh_step/{width}x{height}/C={num_cameras}",
            unit="steps/s",
            work=NUM_ENVS * STEPS,
            setup=partial(
                mesh_setup, CameraSpec(width=width, height=height, num_cameras=num_cameras)
            ),
            config={"num_envs": NUM_ENVS, "houses": HOUSES_FROM, "num_houses": 1},
        )
        for width, height, num_cameras in CAMERAS[1:]
    ),
    Case(
        id="sim.reset/84x48/C=1",
        unit="resets/s",
        work=NUM_ENVS,
        setup=partial(reset_setup, CameraSpec(width=84, height=48)),
        config={"num_envs": NUM_ENVS, "houses": HOUSES_FROM},
    ),
    *(
        Case(
            id=f"sim.cold_reset/{name}",
            unit="resets/s",
            work=NUM_ENVS,
            setup=partial(cold_reset_setup, name, CameraSpec(width=84, height=48)),
            config={"houses": HOUSES_FROM, "files": COLD_FILES},
        )
        for name in COLD_TASKS
    ),
    Case(
        id="sim.load",
        unit="houses/s",
        work=NUM_HOUSES,
        setup=load_setup,
        config={"num_houses": NUM_HOUSES, "houses": HOUSES_FROM},
    ),
]
