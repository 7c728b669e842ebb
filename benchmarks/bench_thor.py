"""AI2-THOR's own client over flare-thor: the protocol alone, and what our workers add to it.

All play the same house with two 396 x 224 cameras; thor_clients.py tells who takes part.
"unity_step" is the same with replies that take 30 ms, as Unity's do. A case of one world runs on
one processor: client, simulator and trainer take turns, and so no time goes into waking another.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.run import Case, Contenders
from benchmarks.thor_clients import (
    CAMERA,
    PROGRAM,
    TURN,
    client_step,
    constant,
    items,
    make_client,
    one_copy,
    one_processor,
    pickled_pipes,
    recorded,
)
from flare.robots import load_robot
from flare.rollout.buffers import ArraySpec, RolloutBuffer
from flare.testing.random_play import random_episode
from flare.worlds.embedded import load_houses
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.worlds import ThorWorlds
from flare.worlds.world import all_env_ids

NUM_WORKERS = (1, 4, 16)
UNITY = "--frame-delay 0.03"
SLOW_HOUSE = "--create-house-delay 10"
SLOW_EPISODE = 400  # steps of 30 ms: longer than a house takes


@contextlib.contextmanager
def protocol(is_bound: bool) -> Iterator[Contenders]:
    """What pipes and client allow; "flare" are steps whose frames need no drawing.

    Args:
        is_bound: to one processor; otherwise the system moves the client from one to the next.
    """
    with contextlib.ExitStack() as stack:
        if is_bound:
            stack.enter_context(one_processor())
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(3)]
        client = make_client(folders[0])
        stack.callback(client.stop)
        yield Contenders(
            {
                "flare": lambda: client.step("Pass", renderImageSynthesis=False),
                "constant_server": stack.enter_context(constant(folders[1])),
                "client_alone": stack.enter_context(recorded(folders[2])),
                "drawn": lambda: client.step(
                    "RotateRightQuick", degrees=30, renderImageSynthesis=False
                ),
                "patch": lambda: client.step("GetObjectMetadata", objectIds=[]),
            }
        )


def episodes(count: int) -> np.ndarray:
    """Starts with targets, in the first house."""
    house = load_houses(items()[:1])[0]
    robot = load_robot("stretch")
    specs = np.array([random_episode(house, robot, (7, i)) for i in range(count)])
    specs["randomise"] = 0
    return specs


@contextlib.contextmanager
def our_worlds(num_envs: int, folder: str, arguments: str = "") -> Iterator[Callable[[], None]]:
    """One step of N worlds into a rollout buffer."""
    config = ThorConfig(
        executable=f"{PROGRAM} {arguments}", base_dir=folder, step_timeout=60, reset_timeout=120
    )
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


@contextlib.contextmanager
def transport(num_envs: int, arguments: str = "") -> Iterator[Contenders]:
    """N worlds in lock step; where N is 1, also the bare client and the least a worker must do."""
    with contextlib.ExitStack() as stack:
        if num_envs == 1:
            stack.enter_context(one_processor())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        calls: dict[str, Callable[[], object]] = {
            "flare": stack.enter_context(our_worlds(num_envs, folder, arguments)),
            "pickled_pipes": stack.enter_context(pickled_pipes(num_envs, folder, arguments)),
        }
        if num_envs == 1:
            client = make_client(folder, arguments)
            stack.callback(client.stop)
            calls["bare_client"] = partial(client_step, client)
            calls["one_copy"] = stack.enter_context(one_copy(folder, arguments))
        yield Contenders(calls)


class SlowHouses:
    """One world whose houses take 10 s to load, which is less than an episode's steps take."""

    def __init__(self, num_spares: int, folder: str) -> None:
        config = ThorConfig(
            executable=f"{PROGRAM} {SLOW_HOUSE} {UNITY}", base_dir=folder, num_spares=num_spares
        )
        self.worlds = ThorWorlds(items(), num_envs=1, config=config, camera=CAMERA)
        self.houses = self.worlds.houses
        self.frames = np.zeros((1, *CAMERA.frame_shape), np.uint8)
        self.facts = np.zeros(1, self.worlds.facts_dtype)
        self.episode = 0
        self.reset_ms: list[float] = []
        self.worlds.reset(all_env_ids(1), self.spec(), self.frames, self.facts)

    def spec(self) -> np.ndarray:
        """[1] the house changes from each episode to the next."""
        index = self.episode % len(self.houses)
        specs = np.array([random_episode(self.houses[index], load_robot("stretch"), (8, index))])
        specs["house"], specs["randomise"] = index, 0
        return specs

    def play(self) -> None:
        """One episode, and the start of the next."""
        self.episode += 1
        self.worlds.announce(all_env_ids(1), self.spec())
        for _ in range(SLOW_EPISODE):
            self.worlds.step(np.full(1, TURN), self.frames, self.facts)
        since = time.perf_counter()
        self.worlds.reset(all_env_ids(1), self.spec(), self.frames, self.facts)
        self.reset_ms.append(1e3 * (time.perf_counter() - since))


@contextlib.contextmanager
def slow_houses() -> Iterator[Contenders]:
    """With a spare and without; what the learner waits for at a reset is told beside the rates."""
    with contextlib.ExitStack() as stack:
        plays, calls, measured = {}, {}, {}

        def note(name: str) -> None:
            plays[name].play()
            measured[f"{name}, ms of a reset"] = float(np.median(plays[name].reset_ms))

        for name, num_spares in (("flare", 1), ("no_spares", 0)):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            plays[name] = SlowHouses(num_spares, folder)
            stack.callback(plays[name].worlds.close)
            calls[name] = partial(note, name)
        yield Contenders(calls, measured=measured)


def transport_case(name: str, num_envs: int, arguments: str = "") -> Case:
    """One of N worlds."""
    config: dict[str, Any] = {"processors": 1} if num_envs == 1 else {}
    limit = "one_copy" if num_envs == 1 else None
    setup = partial(transport, num_envs, arguments)
    return Case(f"thor.{name}/N={num_envs}", "steps/s", num_envs, setup, limit, config)


def protocol_case(name: str, *, is_bound: bool) -> Case:
    """One of the bare protocol."""
    config = {"processors": 1} if is_bound else {}
    setup = partial(protocol, is_bound)
    return Case(f"thor.protocol/{name}", "steps/s", 1, setup, "client_alone", config)


CASES = [
    protocol_case("396x224x2", is_bound=True),
    protocol_case("396x224x2/unbound", is_bound=False),
    *(transport_case("step", n) for n in NUM_WORKERS),
    *(transport_case("unity_step", n, UNITY) for n in NUM_WORKERS),
    Case("thor.slow_houses", "steps/s", SLOW_EPISODE, slow_houses),
]
