"""The checks themselves: the embedded world passes, and a world with one fault does not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flare.robots import load_robot
from flare.specs import ACTION_NAMES, CameraSpec
from flare.testing import conformance
from flare.testing.conformance import CHECKS, Subject
from flare.testing.random_play import random_episode
from flare.testing.watch import ConformanceError
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, House, load_house
from tests.worlds.two_rooms import two_rooms

N = 3
CAMERA = CameraSpec(width=24, height=16, num_cameras=2)


@pytest.fixture(scope="module")
def house() -> House:
    return load_house(two_rooms(), "two rooms")


def subject_of(house: House, world: Callable[..., Any] = EmbeddedWorlds) -> Subject:
    robot = load_robot("stretch")
    specs = np.array([random_episode(house, robot, (5, i), max_steps=90) for i in range(N)])
    specs["num_targets"], specs["targets"][:, :1] = 1, 0
    assert specs.dtype == EPISODE_DTYPE

    def make(threads: int) -> Any:
        return world(
            [house], num_envs=N, num_threads=threads, camera=CAMERA, action_names=ACTION_NAMES
        )

    return Subject(make=make, specs=specs)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_embedded_world_keeps_the_contract(house: House, check: Callable[..., None]) -> None:
    check(subject_of(house))


class Faulty(EmbeddedWorlds):
    """Embedded worlds whose every step ends in a fault."""

    def fault(self, frames: NDArray[np.uint8], facts: NDArray[np.void]) -> None:
        raise NotImplementedError

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
        draw: NDArray[np.bool_] | None = None,
    ) -> None:
        super().step(actions, frames, facts, draw)
        self.fault(frames, facts)


def with_fact(name: str, value: Any) -> type[Faulty]:
    class WithFact(Faulty):
        def fault(self, frames: NDArray[np.uint8], facts: NDArray[np.void]) -> None:
            facts[name][-1] = value(facts[-1]) if callable(value) else value

    return WithFact


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("travelled", np.nan, "travelled is not"),
        ("hand", np.inf, "hand is not finite"),
        ("step", 7, "step did not grow by one"),
        ("last_action", 3, "another action is reported"),
        ("yaw_deg", 360.0, r"outside \[0, 360\)"),
        ("collided", 2, "collided is neither 0 nor 1"),
        ("task", 4, "task is not the spec's"),
        ("time_left", 3, "time_left is not what is left"),
        ("room", 2, "room is none"),
        ("rooms_seen", 0, "lost a room"),
        ("rooms_reported", 1 << 63, "an unseen room is reported"),
        ("rooms_left", 9, "rooms_left is not the rest"),
        ("target_distance", 99.0, "not the nearest"),
        ("arm_lift", 1.2, "arm_lift is"),
        ("held_object", 0, "object 0 is held"),
    ],
)
def test_a_wrong_fact_is_told(house: House, name: str, value: Any, match: str) -> None:
    subject = replace(subject_of(house, with_fact(name, value)), num_steps=8, seed=2)
    with pytest.raises(ConformanceError, match=match):
        conformance.check_promises_of_every_step(subject)


@pytest.mark.parametrize(
    ("x", "z", "match"),
    [(0.1, 2.0, "cannot be|a wall"), (2.0, 3.4, "cannot be|Sofa"), (9.0, 2.0, "cannot be|outside")],
)
def test_a_robot_in_a_wall_or_an_object_or_outside_is_told(
    house: House, x: float, z: float, match: str
) -> None:
    class Elsewhere(Faulty):
        def fault(self, frames: NDArray[np.uint8], facts: NDArray[np.void]) -> None:
            way = np.hypot(x - facts["position"][-1, 0], z - facts["position"][-1, 2])
            facts["position"][-1] = (x, facts["position"][-1, 1], z)
            facts["travelled"][-1] += way
            facts["last_action_success"][-1] = 1

    subject = replace(subject_of(house, Elsewhere), num_steps=1)
    with pytest.raises(ConformanceError, match=match):
        conformance.check_promises_of_every_step(subject)


def test_a_frame_that_keeps_a_byte_is_told(house: House) -> None:
    class Keeps(EmbeddedWorlds):
        def step(self, actions: Any, frames: Any, facts: Any, draw: Any = None) -> None:
            kept = int(frames[0, 0, 0, 0, 0])
            super().step(actions, frames, facts, draw)
            frames[0, 0, 0, 0, 0] = kept

    with pytest.raises(ConformanceError, match="a byte of frames or facts is not written"):
        conformance.check_rows_are_written_fully(subject_of(house, Keeps))


def test_a_restore_that_forgets_is_told(house: House) -> None:
    class Forgets(EmbeddedWorlds):
        def restore(self, env_ids: Any, states: Any, frames: Any, facts: Any) -> None:
            states = states.copy()
            states[:, -8] ^= 1  # last_action_success
            super().restore(env_ids, states, frames, facts)

    with pytest.raises(ConformanceError, match="restore changes the state"):
        conformance.check_restored_worlds_go_on_exactly(subject_of(house, Forgets))


def test_worlds_that_depend_on_threads_are_told(house: House) -> None:
    class Depends(EmbeddedWorlds):
        def __init__(self, *args: Any, num_threads: int, **kwargs: Any) -> None:
            super().__init__(*args, num_threads=num_threads, **kwargs)
            self.num_threads = num_threads

        def step(self, actions: Any, frames: Any, facts: Any, draw: Any = None) -> None:
            super().step(actions, frames, facts, draw)
            frames[0, 0, 0, 0, 0] = self.num_threads

    with pytest.raises(ConformanceError, match="results depend on threads"):
        conformance.check_the_same_on_any_number_of_threads(subject_of(house, Depends))


def test_an_arm_that_enters_something_is_told(house: House) -> None:
    class Enters(EmbeddedWorlds):
        calls = 0

        def arm_contacts(self, env: int) -> list[int]:
            self.calls += 1
            return [] if self.calls <= 4 * N else [5]

    with pytest.raises(ConformanceError, match=r"arm or load went into the solids \[5\]"):
        conformance.check_promises_of_every_step(subject_of(house, Enters))


def test_a_robot_that_walks_into_what_was_put_down_is_told(house: House) -> None:
    class Crosses(EmbeddedWorlds):
        """The sofa was put down where env 0 stands from its fourth step on."""

        calls = 0

        def moved_objects(self, env: int) -> list[tuple[int, tuple[float, float, float], float]]:
            self.calls += 1
            return [(0, (6.0, 0.4, 2.0), 0.0)]

        def step(self, actions: Any, frames: Any, facts: Any, draw: Any = None) -> None:
            super().step(actions, frames, facts, draw)
            if self.calls > 3 * N:
                facts["travelled"][0] += np.hypot(*(facts["position"][0, [0, 2]] - (6.0, 2.0)))
                facts["position"][0, [0, 2]] = (6.0, 2.0)
                facts["last_action_success"][0] = 1

    with pytest.raises(ConformanceError, match=r"the robot walked into Sofa\|2\|0"):
        conformance.check_promises_of_every_step(subject_of(house, Crosses))
