"""The comparison of two worlds: equal ones are, and one that is a little off is told of."""

import json
from pathlib import Path

import numpy as np
import pytest

from flare.cli import main
from flare.evaluation.parity import Comparison, Difference
from flare.worlds.embedded import FACTS_DTYPE
from tests.worlds.thor.places import PROGRAM

pytest.importorskip("ai2thor")


@pytest.fixture(scope="module")
def houses(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("houses")
    sizes = ["--train", "2", "--val", "0", "--test", "0"]
    assert main(["houses", "generate", "--out", str(folder), *sizes]) == 0
    return folder / "train.jsonl.gz"


def parity(houses, tmp_path, program, *words):
    record = tmp_path / "parity.json"
    code = main(
        ["houses", "parity", str(houses), "--num-episodes", "4", "--num-steps", "25",
         "--num-envs", "2", "--camera.width", "84", "--camera.height", "48",
         "--task.names", "Fetch", "ObjectNav", "RoomVisit",
         "--second.thor.executable", program, "--second.thor.base-dir", str(tmp_path),
         "--json", str(record), *words]
    )  # fmt: skip
    return code, json.loads(record.read_text())


def test_the_embedded_world_and_ai2thors_client_are_equal(houses, tmp_path, capsys):
    code, record = parity(houses, tmp_path, f"{PROGRAM} --exact-crop")
    assert code == 0 and record["is_equal"] and record["steps"] == 4 * 26
    assert record["rows"]["frames"]["compared"] == 4 * 26 * 2 * 84 * 48 * 3
    assert f"{len(FACTS_DTYPE.names)} of {len(FACTS_DTYPE.names)} facts" in capsys.readouterr().out


def test_worlds_that_fail_are_told_of(houses, tmp_path):
    """One of the worlds hangs in its ninth turn."""
    code, record = parity(
        houses, tmp_path, f"{PROGRAM} --exact-crop --fault hang@RotateRightQuick:9",
        "--second.thor.step-timeout", "1",
    )  # fmt: skip
    assert code == 1 and record["faults"] > 0 and not record["is_equal"]


def test_a_difference_counts_and_measures():
    difference = Difference()
    difference.add(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    difference.add(np.array([True]), np.array([False]))
    assert (difference.compared, difference.differing, difference.largest) == (3, 2, 1.0)
    comparison = Comparison(FACTS_DTYPE)
    assert comparison.is_equal
    comparison.facts["step"].add(np.array([1]), np.array([2]))
    assert not comparison.is_equal and "fact step" in comparison.text()
