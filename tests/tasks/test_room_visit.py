"""RoomVisit's metrics, counted by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from flare.tasks.registry import TASKS
from flare.tasks.room_visit import RoomVisit
from flare.worlds.embedded import load_house
from tests.worlds.two_rooms import two_rooms


@dataclass(frozen=True)
class Floor:
    """The part of a house that coverage reads."""

    places: tuple[tuple[float, float], ...]

    def reachable(self) -> NDArray[np.float32]:
        return np.array(self.places, np.float32)


def test_coverage_is_the_share_of_the_original_grid_that_was_visited():
    # Cells of 0.15 m round multiples of it: x 0.0 and 0.1 fall on the lines 0 and 1, 0.2 on 1 too,
    # so that six places of the finer grid are four of the original's.
    floor = Floor(tuple((x, z) for x in (0.0, 0.1, 0.2) for z in (0.0, 0.1)))
    path = np.array([[0.02, 0.03], [0.05, 0.0], [0.16, 0.01], [0.18, 0.03], [0.9, 0.9]], np.float32)
    metrics = RoomVisit().path_metrics(path, floor)
    # (0, 0) twice, (1, 0) twice, and (6, 6), where nothing stands.
    assert metrics == {"places_visited": 2, "coverage": 0.5}


def test_all_of_a_house_is_covered_by_who_walks_all_of_it():
    house = load_house(two_rooms(), "two rooms")
    everywhere = house.reachable()
    assert RoomVisit().path_metrics(everywhere, house)["coverage"] == 1.0
    half = everywhere[everywhere[:, 0] < np.median(everywhere[:, 0])]
    assert RoomVisit().path_metrics(half, house)["coverage"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"RoomVisit"}))
def test_other_tasks_do_not_ask_for_coverage(name):
    assert TASKS[name]().path_metrics(np.zeros((1, 2), np.float32), Floor(((0.0, 0.0),))) == {}
