"""AI2-THOR's own client over flare-thor: the protocol alone, and what our workers add to it.

"bare_client" is the client in this process doing the actions and queries of a step and nothing
else. "pickled_pipes" is the original's way: each client in a process of its own, which pickles its
observation through a pipe. All play the same house with two 396 x 224 cameras.
"""

import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.run import Case, Contenders
from flare.houses.sources import house_items
from flare.robots import load_robot
from flare.rollout.buffers import ArraySpec, RolloutBuffer
from flare.specs import CameraSpec
from flare.testing.random_play import random_episode
from flare.worlds.embedded import load_houses
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.worlds import ThorWorlds
from flare.worlds.world import all_env_ids

PROGRAM = str(Path(sys.executable).parent / "flare-thor")
CAMERA = CameraSpec(num_cameras=2)
NUM_WORKERS = (1, 4, 16)
TURN = 1  # the policy action of every step: it is never blocked for long and draws all anew
SLOW_HOUSE, SLOW_PLAY, SLOW_EPISODES = 10.0, 15.0, 3  # s of CreateHouse, s of play, episodes
Client = Any  # ai2thor has no types
SPAWN = multiprocessing.get_context("spawn")


def items() -> list[tuple[str, str]]:
    """Two houses."""
    return house_items("generated", count=2, seed=3)


def episodes(count: int) -> np.ndarray:
    """Starts with targets, in the first house."""
    house = load_houses(items()[:1])[0]
    robot = load_robot("stretch")
    specs = np.array([random_episode(house, robot, (7, i)) for i in range(count)])
    specs["randomise"] = 0
    return specs


def make_client(folder: str) -> Client:
    """The real client in the first house, its objects filtered."""
    os.environ["HOME"] = folder
    from ai2thor.controller import Controller

    arguments = {**ThorConfig().controller_arguments(CAMERA), "scene": json.loads(items()[0][1])}
    client = Controller(local_executable_path=PROGRAM, **arguments)
    client.step("SetObjectFilter", objectIds=[])
    return client


def client_step(client: Client) -> Client:
    """What one policy step asks of AI2-THOR."""
    event = client.step("RotateRightQuick", degrees=30, renderImageSynthesis=False)
    client.step("GetVisibleObjects", maxDistance=100)
    client.step("GetVisibleObjects", maxDistance=100, thirdPartyCameraIndex=0)
    return event


@contextlib.contextmanager
def protocol() -> Iterator[Contenders]:
    """Steps whose frames need no drawing: what the pipes and the client's decoding allow."""
    with tempfile.TemporaryDirectory() as folder:
        client = make_client(folder)
        yield Contenders(
            {
                "flare": lambda: client.step("Pass", renderImageSynthesis=False),
                "drawn": lambda: client.step(
                    "RotateRightQuick", degrees=30, renderImageSynthesis=False
                ),
                "patch": lambda: client.step("GetObjectMetadata", objectIds=[]),
            }
        )
        client.stop()


@contextlib.contextmanager
def our_worlds(num_envs: int, folder: str, **changes: float) -> Iterator[Callable[[], None]]:
    """One step of N worlds into a rollout buffer."""
    config = replace(ThorConfig(executable=PROGRAM, base_dir=folder, step_timeout=60), **changes)
    worlds = ThorWorlds(items(), num_envs=num_envs, config=config, camera=CAMERA)
    shape = (2, num_envs, *CAMERA.frame_shape)
    buffer = RolloutBuffer.create([ArraySpec("frames", np.uint8, shape)], num_envs)
    frames, facts = buffer.array("frames"), np.zeros(num_envs, worlds.facts_dtype)
    worlds.reset(all_env_ids(num_envs), episodes(num_envs), frames[0], facts)
    actions = np.full(num_envs, TURN)

    def step() -> None:
        worlds.step(actions, frames[1], facts)
        if worlds.faulted.any():
            raise AssertionError(f"a world failed: {worlds.failures}")

    try:
        yield step
    finally:
        worlds.close()


def pickling_worker(pipe: Connection, folder: str) -> None:
    """A client that pickles what it sees."""
    client = make_client(folder)
    pipe.send("ready")
    while pipe.recv() is not None:
        event = client_step(client)
        pipe.send(
            {
                "nav": np.ascontiguousarray(event.frame[:, 6:-6]),
                "manip": np.ascontiguousarray(event.third_party_camera_frames[0][:, 6:-6, :3]),
                "metadata": event.metadata["agent"],
            }
        )
    client.stop()


@contextlib.contextmanager
def pickled_pipes(num_envs: int, folder: str) -> Iterator[Callable[[], None]]:
    """The original's way: pickled observations through pipes, copied into the rollout."""
    frames = np.zeros((num_envs, *CAMERA.frame_shape), np.uint8)
    pipes, processes = [], []
    for _ in range(num_envs):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=pickling_worker, args=(theirs, folder), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()

    def step() -> None:
        for pipe in pipes:
            pipe.send(TURN)
        for env, pipe in enumerate(pipes):
            observation = pipe.recv()
            frames[env, 0], frames[env, 1] = observation["nav"], observation["manip"]

    yield step
    for pipe in pipes:
        pipe.send(None)
    for process in processes:
        process.join()


@contextlib.contextmanager
def transport(num_envs: int) -> Iterator[Contenders]:
    """N worlds in lock step; the bare client only where there is one."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        calls: dict[str, Callable[[], object]] = {
            "flare": stack.enter_context(our_worlds(num_envs, folder)),
            "pickled_pipes": stack.enter_context(pickled_pipes(num_envs, folder)),
        }
        if num_envs == 1:
            client = make_client(folder)
            stack.callback(client.stop)
            calls["bare_client"] = partial(client_step, client)
        yield Contenders(calls)


@contextlib.contextmanager
def slow_houses() -> Iterator[Contenders]:
    """One world whose houses take 10 s to load, with a spare and without; an episode plays 15 s."""
    with contextlib.ExitStack() as stack:
        calls, measured = {}, {}
        for name, num_spares in (("flare", 1), ("no_spares", 0)):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            rate, reset_ms = play_slow_houses(num_spares, folder)
            measured[f"{name}, steps/s"], measured[f"{name}, ms of a reset"] = rate, reset_ms
            calls[name] = lambda: None  # nothing is left to time
        yield Contenders(calls, measured=measured)


def play_slow_houses(num_spares: int, folder: str) -> tuple[float, float]:
    """Steps/s over resets and steps, and ms of the middle reset."""
    config = ThorConfig(
        executable=f"{PROGRAM} --create-house-delay {SLOW_HOUSE}", base_dir=folder,
        num_spares=num_spares,
    )  # fmt: skip
    worlds = ThorWorlds(items(), num_envs=1, config=config, camera=CAMERA)
    frames, facts = np.zeros((1, *CAMERA.frame_shape), np.uint8), np.zeros(1, worlds.facts_dtype)
    env, resets, steps = all_env_ids(1), [], 0
    starts = [episode_of(number) for number in range(SLOW_EPISODES + 1)]
    worlds.reset(env, starts[0], frames, facts)
    begin = time.perf_counter()
    for episode in range(1, SLOW_EPISODES + 1):
        worlds.announce(env, starts[episode])
        end = time.perf_counter() + SLOW_PLAY
        while time.perf_counter() < end:
            worlds.step(np.full(1, TURN), frames, facts)
            steps += 1
        since = time.perf_counter()
        worlds.reset(env, starts[episode], frames, facts)
        resets.append(time.perf_counter() - since)
    rate = steps / (time.perf_counter() - begin)
    worlds.close()
    return rate, 1e3 * float(np.median(resets))


def episode_of(number: int) -> np.ndarray:
    """[1] the house changes from each episode to the next."""
    index = number % 2
    house = load_houses(items())[index]
    specs = np.array([random_episode(house, load_robot("stretch"), (8, number))])
    specs["house"], specs["randomise"] = index, 0
    return specs


CASES = [
    Case("thor.protocol/396x224x2", "steps/s", 1, protocol),
    *(Case(f"thor.step/N={n}", "steps/s", n, partial(transport, n)) for n in NUM_WORKERS),
    Case("thor.slow_houses", "steps/s", 1, slow_houses),
]
