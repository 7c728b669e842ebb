"""Pre-training of the small policy goes on exactly wherever it was stopped."""

import json

import pytest
import torch

from flare import cli
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.metrics import read_records
from flare.recipes.pretraining import Pretraining


def flare(*arguments, expect=0):
    assert cli.main([str(each) for each in arguments]) == expect


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A house file and noisy demonstrations in it."""
    folder = tmp_path_factory.mktemp("pretraining")
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=("Bed", "Sofa"), num_goal_types=2)
    write_houses(folder / "h.jsonl", [generate_house(0, "train", i, config) for i in range(2)])
    flare(
        "collect", "--houses", folder / "h.jsonl", "--out", folder / "d.h5", "--num-episodes", 7,
        "--noise", 0.2, "--world.num-envs", 3, "--world.camera.width", 42,
        "--world.camera.height", 24, "--task.sampler.target-types", "Bed", "Sofa",
    )  # fmt: skip
    return folder


def arguments(place, name):
    return (
        "pretrain", "--houses", place / "h.jsonl", "--demonstrations", place / "d.h5",
        "--runs", place, "--name", name, "--num-threads", 1, "--world.camera.width", 42,
        "--world.camera.height", 24, "--task.sampler.target-types", "Bed", "Sofa",
        "--encoder.num-views", 24, "--encoder.batch-size", 4, "--encoder.parts", 2,
        "--encoder.standardise", "--imitation.num-epochs", 3, "--imitation.batch-size", 2,
        "--imitation.sorted-batches", 2, "--imitation.feature-dropout", 0.3,
    )  # fmt: skip


def outcome(run):
    lines = [
        {k: v for k, v in r.items() if k != "time"} for r in read_records(run / "metrics.jsonl")
    ]
    return lines, (run / "latest" / "model.safetensors").read_bytes()


def test_stopped_again_and_again_it_ends_in_the_same_bits(place, monkeypatch):
    """Of 6 steps of the encoder and 12 of imitation, 4 an epoch; a stop is asked for before each.

    Stops before the first step; within the encoder, twice; between the two; within an epoch, and
    in the next.
    """
    flare(*arguments(place, "whole"))
    assert not (place / "whole" / "progress").exists()
    left, before = [0], Pretraining.__post_init__

    def begin(self):
        before(self)
        self.should_stop = lambda: left.__setitem__(0, left[0] - 1) or left[0] < 0

    monkeypatch.setattr(Pretraining, "__post_init__", begin)
    for i, left[0] in enumerate((0, 1, 3, 2, 2, 3)):
        again = ("pretrain", "--resume", place / "cut")
        flare(*(again if i else arguments(place, "cut")), expect=130)
        assert not (place / "cut" / "latest").exists()
    left[0] = 10**6
    torch.rand(3)  # another process would have another state
    flare("pretrain", "--resume", place / "cut")
    assert outcome(place / "cut") == outcome(place / "whole")
    # A finished run has nothing left to do.
    flare("pretrain", "--resume", place / "cut")
    assert outcome(place / "cut") == outcome(place / "whole")
    assert json.loads((place / "cut" / "config.json").read_text())["resume"] is None
