"""Two 224x384 RGB frames a step from N worker processes into one place, in k environment steps/s.

A worker "renders" by copying a picture it holds; nobody reads the frames but through the slot. All
contenders run in lock step: N actions out, N pairs of frames in. The limit is the same bytes copied
into the rollout buffer by threads of one process, one a core, without any process in between. What
N processes can reach is "plain_slots": the same copies into shared memory, handed over by bare
semaphores, so the rest of the way to the limit is the price of N address spaces on few cores.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import shared_memory
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Semaphore
from typing import Any

import numpy as np

from benchmarks.run import Case, Contenders
from flare.rollout.buffers import ArraySpec, BufferHandle, Command, RolloutBuffer, WorkerSlot

try:
    import gymnasium
except ImportError:
    gymnasium = None

FRAMES = (2, 224, 384, 3)  # two cameras
NUM_STEPS = 8  # rows of the buffer, used in turn
NUM_WORKERS = (2, 8, 16, 32)
SPAWN = multiprocessing.get_context("spawn")


def make_picture(env: int) -> np.ndarray:
    """What a world shows."""
    return np.random.default_rng(env).integers(0, 256, FRAMES, np.uint8)


def make_buffer(num_envs: int) -> RolloutBuffer:
    """A rollout of NUM_STEPS steps."""
    specs = [
        ArraySpec("frames", np.uint8, (NUM_STEPS + 1, num_envs, *FRAMES)),
        ArraySpec("actions", np.int32, (NUM_STEPS, num_envs)),
    ]
    return RolloutBuffer.create(specs, num_envs)


def check_arrival(frame: np.ndarray, env: int, action: int) -> None:
    """Raises unless the frame is the one of this environment and action."""
    picture = make_picture(env)
    picture.flat[0] = action
    if not np.array_equal(frame, picture):
        raise AssertionError(f"environment {env}: another frame came than was sent")


# --- ours ---


def slot_worker(handle: BufferHandle, env: int) -> None:
    """A world that writes in place."""
    picture = make_picture(env)
    buffer = RolloutBuffer.attach(handle)
    frames, actions = buffer.array("frames"), buffer.array("actions")
    with WorkerSlot(buffer, env) as slot:
        for request in slot.requests():
            target = frames[request.step + 1, env]
            np.copyto(target, picture)
            target.flat[0] = actions[request.step, env]


@contextlib.contextmanager
def slots(num_envs: int) -> Iterator[Callable[[], None]]:
    """One lock-step over the rollout buffer."""
    buffer = make_buffer(num_envs)
    workers = [
        SPAWN.Process(target=slot_worker, args=(buffer.handle(), env), daemon=True)
        for env in range(num_envs)
    ]
    for worker in workers:
        worker.start()
    envs = np.arange(num_envs, dtype=np.int32)
    frames, actions = buffer.array("frames"), buffer.array("actions")
    count = 0

    def step() -> None:
        nonlocal count
        row = count % NUM_STEPS
        count += 1
        actions[row] = row
        buffer.send_actions(envs, row)
        ready, dead = buffer.wait_ready(num_envs, timeout=60)
        if len(ready) != num_envs or len(dead):
            raise RuntimeError(f"{len(ready)} of {num_envs} workers answered, dead: {dead}")

    for _ in range(NUM_STEPS):  # every row's pages are in place before the clock starts
        step()
    check_arrival(frames[1, num_envs - 1], num_envs - 1, 0)
    yield step
    buffer.send_actions(envs, 0, Command.CLOSE)
    for worker in workers:
        worker.join(10)


# --- peers ---


def pipe_worker(connection: Connection, env: int) -> None:
    """A world that pickles its frames into a pipe."""
    picture = make_picture(env)
    while (action := connection.recv()) is not None:
        picture.flat[0] = action
        connection.send(picture)


@contextlib.contextmanager
def pipes(num_envs: int) -> Iterator[Callable[[], None]]:
    """multiprocessing's pipes: pickle, send, receive, copy into the rollout."""
    pairs = [SPAWN.Pipe() for _ in range(num_envs)]
    workers = [
        SPAWN.Process(target=pipe_worker, args=(child, env), daemon=True)
        for env, (_, child) in enumerate(pairs)
    ]
    for worker in workers:
        worker.start()
    connections = [parent for parent, _ in pairs]
    frames = np.zeros((NUM_STEPS + 1, num_envs, *FRAMES), np.uint8)
    count = 0

    def step() -> None:
        nonlocal count
        row = count % NUM_STEPS
        count += 1
        for connection in connections:
            connection.send(row)
        for env, connection in enumerate(connections):
            np.copyto(frames[row + 1, env], connection.recv())

    for _ in range(NUM_STEPS):  # every row's pages are in place before the clock starts
        step()
    check_arrival(frames[1, num_envs - 1], num_envs - 1, 0)
    yield step
    for connection in connections:
        connection.send(None)
    for worker in workers:
        worker.join(10)


def plain_worker(
    memory: shared_memory.SharedMemory, env: int, row: Synchronized, go: Semaphore, done: Semaphore
) -> None:
    """A world that writes in place."""
    picture = make_picture(env)
    num_envs = memory.size // picture.nbytes // (NUM_STEPS + 1)
    frames = np.ndarray((NUM_STEPS + 1, num_envs, *FRAMES), np.uint8, memory.buf)
    while go.acquire() and row.value >= 0:
        target = frames[row.value + 1, env]
        np.copyto(target, picture)
        target.flat[0] = row.value
        done.release()


@contextlib.contextmanager
def plain_slots(num_envs: int) -> Iterator[Callable[[], None]]:
    """Shared memory and semaphores, and nothing else: no protection against a worker that dies, no
    order of calls that is checked. What processes can reach at all."""
    size = (NUM_STEPS + 1) * num_envs * int(np.prod(FRAMES))
    memory = shared_memory.SharedMemory(create=True, size=size)
    row = SPAWN.Value("i", 0, lock=False)
    gates = [SPAWN.Semaphore(0) for _ in range(num_envs)]
    done = SPAWN.Semaphore(0)
    workers = [
        SPAWN.Process(target=plain_worker, args=(memory, env, row, gate, done), daemon=True)
        for env, gate in enumerate(gates)
    ]
    for worker in workers:
        worker.start()
    frames = np.ndarray((NUM_STEPS + 1, num_envs, *FRAMES), np.uint8, memory.buf)
    count = 0

    def step() -> None:
        nonlocal count
        row.value = count % NUM_STEPS
        count += 1
        for gate in gates:
            gate.release()
        for _ in gates:
            done.acquire()

    for _ in range(NUM_STEPS):  # every row's pages are in place before the clock starts
        step()
    check_arrival(frames[1, num_envs - 1], num_envs - 1, 0)
    yield step
    row.value = -1
    for gate in gates:
        gate.release()
    for worker in workers:
        worker.join(10)
    del frames
    memory.close()
    memory.unlink()


if gymnasium is not None:

    class PictureEnv(gymnasium.Env[np.ndarray, np.int64]):
        """The same world as a Gymnasium environment."""

        def __init__(self, env: int) -> None:
            self.picture = make_picture(env)
            self.observation_space = gymnasium.spaces.Box(0, 255, FRAMES, np.uint8)
            self.action_space = gymnasium.spaces.Discrete(256)

        def reset(self, **_: object) -> tuple[np.ndarray, dict[str, Any]]:
            return self.picture, {}

        def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            self.picture.flat[0] = action
            return self.picture, 0.0, False, False, {}


@contextlib.contextmanager
def gymnasium_vector(num_envs: int, into_rollout: bool) -> Iterator[Callable[[], object]]:
    """gymnasium's AsyncVectorEnv on its fastest setting: shared memory, observations not copied.

    Its next step overwrites them; a rollout keeps them by ``into_rollout``.
    """
    worlds = gymnasium.vector.AsyncVectorEnv(
        [partial(PictureEnv, env) for env in range(num_envs)],
        shared_memory=True,
        copy=False,
        context="spawn",
        autoreset_mode=gymnasium.vector.AutoresetMode.DISABLED,
    )
    worlds.reset()
    actions = np.full(num_envs, 7)
    observation = worlds.step(actions)[0]
    check_arrival(observation[num_envs - 1], num_envs - 1, 7)
    if not into_rollout:
        yield lambda: worlds.step(actions)
    else:
        frames = make_buffer(num_envs).array("frames")
        count = 0

        def step() -> None:
            nonlocal count
            np.copyto(frames[count % NUM_STEPS + 1], worlds.step(actions)[0])
            count += 1

        for _ in range(NUM_STEPS):
            step()
        yield step
    worlds.close()


# --- limit ---


@contextlib.contextmanager
def copies(num_envs: int) -> Iterator[Callable[[], None]]:
    """The bytes alone: each core copies its share of the pictures into the rollout."""
    frames = make_buffer(num_envs).array("frames")
    pictures = [make_picture(env) for env in range(num_envs)]
    num_threads = len(os.sched_getaffinity(0))
    count = 0

    def copy_share(thread: int, row: int) -> None:
        for env in range(thread, num_envs, num_threads):
            np.copyto(frames[row + 1, env], pictures[env])

    with ThreadPoolExecutor(num_threads) as threads:

        def step() -> None:
            nonlocal count
            count += 1
            row = count % NUM_STEPS
            for done in [threads.submit(copy_share, i, row) for i in range(num_threads)]:
                done.result()

        for _ in range(NUM_STEPS):
            step()
        yield step


@contextlib.contextmanager
def contenders(num_envs: int) -> Iterator[Contenders]:
    """All of them with N idle worker processes each; only one's workers run at a time."""
    absent: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        calls = {
            "flare": stack.enter_context(slots(num_envs)),
            "memcpy": stack.enter_context(copies(num_envs)),
            "plain_slots": stack.enter_context(plain_slots(num_envs)),
            "pipes_and_pickle": stack.enter_context(pipes(num_envs)),
        }
        peers = {"gymnasium_shared": False, "gymnasium_into_rollout": True}
        if gymnasium is None:
            absent |= dict.fromkeys(peers, "gymnasium is not importable; pip install gymnasium")
        else:
            for name, into_rollout in peers.items():
                calls[name] = stack.enter_context(gymnasium_vector(num_envs, into_rollout))
        yield Contenders(calls, absent)


CASES = [
    Case(
        id=f"transport/N={num_envs}",
        unit="k env steps/s",
        work=num_envs / 1e3,
        setup=partial(contenders, num_envs),
        limit="memcpy",
        config={
            "frames": list(FRAMES),
            "num_workers": num_envs,
            "limit_is": "the same pictures copied by one thread a core, without processes",
        },
    )
    for num_envs in NUM_WORKERS
]
