"""The experts of every kind of goal, on generated and on real houses.

The bounds are those asked of the experts; `python -m benchmarks.experts` measures them on many more
episodes.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experts import generated_houses, play, summary_of
from flare.assembly import load_house_file
from flare.worlds.embedded import House

LEAST = {"ObjectNav": 0.95, "RoomVisit": 0.95, "RoomNav": 0.95, "PickUp": 0.90, "Fetch": 0.85}


@pytest.fixture(scope="module")
def generated() -> list[House]:
    return generated_houses(40)


@pytest.fixture(scope="module")
def real(shared_dir: Path) -> list[House]:
    return load_house_file(
        shared_dir / "houses" / "objaverse_val.jsonl.gz", limit=24, num_threads=2
    )


@pytest.mark.parametrize("task", LEAST)
def test_the_expert_masters_generated_houses(generated: list[House], task: str) -> None:
    summary = summary_of(play(generated, task, 60))
    assert summary["success"]["estimate"] >= LEAST[task], summary


@pytest.mark.parametrize("task", ["PickUp", "Fetch", "RoomNav", "RoomVisit"])
def test_the_expert_masters_real_houses(real: list[House], task: str) -> None:
    summary = summary_of(play(real, task, 48))
    assert summary["success"]["estimate"] >= LEAST[task], summary


def test_the_same_episodes_are_played_the_same_way(generated: list[House]) -> None:
    first, second = play(generated, "Fetch", 8), play(generated, "Fetch", 8)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.trajectory, other.trajectory)


def test_a_grasp_ends_an_episode_right_after_it(generated: list[House]) -> None:
    """What is planned succeeds: the only pickup of an episode takes the target."""
    for episode in play(generated, "PickUp", 24):
        assert episode.success
        assert episode.metrics["pickups_tried"] == 1
