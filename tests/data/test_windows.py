"""Windows: cuts, shifts, thinning, padding and interleaving, against hand-made episodes."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.data.layout import encode_text
from flare.data.video import trajectory_encoder
from flare.data.windows import (
    Interleaving,
    Sample,
    WindowBatch,
    WindowConfig,
    chosen_steps,
    read_window,
    thinned,
)
from flare.specs import ACTION_NAMES

LONG = 37  # actions of the hand-made episode


@pytest.fixture(scope="module")
def episode(tmp_path_factory):
    """Its frame t is brightness 60 + 5 t, its action t (from 1) is number t modulo 20."""
    folder = tmp_path_factory.mktemp("house")
    names = [""] + [ACTION_NAMES[t % 20] for t in range(1, LONG + 1)]
    template = {"task_type": "PickupType", "extras": {}, "synsets": ["apple.n.01"]}
    with h5py.File(folder / "hdf5_sensors.hdf5", "w") as file:
        group = file.create_group("7")
        group["last_action_str"] = np.stack([encode_text(name, 200) for name in names])
        group["an_object_is_in_hand"] = (np.arange(LONG + 1) >= 30).astype(np.int64)[:, None]
        group["templated_task_spec"] = encode_text(json.dumps(template))[None].repeat(LONG + 1, 0)
    for camera, level in (("navigation", 60), ("manipulation", 20)):
        with open(folder / f"raw_{camera}_camera__7.mp4", "wb") as out:
            encoder = trajectory_encoder(out)
            for t in range(LONG + 1):
                encoder.add(np.full((48, 64, 3), level + 5 * t, np.uint8))
            encoder.close()
    return Sample(folder, "7")


def levels(window, camera, base):
    return np.round((window.frames[:, camera].mean(axis=(1, 2, 3)) - base) / 5).astype(int)


def test_a_window_shows_steps_with_their_actions_and_the_one_before(episode):
    config = WindowConfig(length=10)
    starts = set()
    for index in range(12):
        window = read_window(episode, (3, 0, index), config)
        steps = levels(window, 0, 60)
        start = int(steps[0])
        starts.add(start)
        np.testing.assert_array_equal(steps, np.arange(start, start + 10))
        np.testing.assert_array_equal(levels(window, 1, 20), steps)
        np.testing.assert_array_equal(window.actions, (steps + 1) % 20)
        before = np.where(steps == 0, 20, steps % 20)
        np.testing.assert_array_equal(window.last_actions, before)
        np.testing.assert_array_equal(window.in_hand, steps >= 30)
        shift = window.time_ids - steps
        assert len(set(shift.tolist())) == 1 and 0 <= shift[0] <= 990
        assert window.instruction.endswith(" an apple")
    assert len(starts) > 5
    again = read_window(episode, (3, 0, 11), config)
    np.testing.assert_array_equal(again.frames, window.frames)
    assert again.instruction == window.instruction


def test_short_episodes_are_whole_and_validation_keeps_its_time(episode):
    window = read_window(episode, (0, 0, 0), WindowConfig(time_range=0))
    assert len(window) == LONG
    np.testing.assert_array_equal(window.time_ids, np.arange(LONG))
    assert window.actions[-1] == LONG % 20
    one = read_window(episode, (0, 0, 0), WindowConfig(), num_cameras=1, stored_size=(48, 64))
    assert one.frames.shape == (LONG, 1, 48, 64, 3)
    small = read_window(episode, (0, 0, 0), WindowConfig(), size=(24, 32))
    assert small.frames.shape == (LONG, 2, 24, 32, 3)
    np.testing.assert_array_equal(levels(small, 1, 20), np.arange(LONG))
    with pytest.raises(ValueError, match="48 x 64, not"):
        read_window(episode, (0, 0, 0), WindowConfig(), stored_size=(224, 384))


def test_the_last_window_comes_as_often_as_asked(episode):
    actions = np.arange(LONG) % 20
    config = WindowConfig(length=10, last_prob=0.0, last_prob_end=1.0)
    assert [config.last_prob_at(p) for p in (0.0, 0.25, 1.0, 2.0)] == [0.0, 0.25, 1.0, 1.0]

    def share_of_last(prob):
        firsts = [int(chosen_steps(actions, (0, 0, i), config, prob)[0]) for i in range(400)]
        return np.mean([first == LONG - 10 for first in firsts])

    assert share_of_last(1.0) == 1.0
    assert 0.42 < share_of_last(0.5) < 0.62  # and once in 28 of the other half by chance
    assert share_of_last(0.0) < 0.1


def test_starts_are_uniform():
    actions = np.zeros(30, np.int64)
    firsts = [
        int(chosen_steps(actions, (1, 0, i), WindowConfig(length=20), 0.0)[0]) for i in range(2200)
    ]
    counts = np.bincount(firsts, minlength=11)
    assert len(counts) == 11 and counts.min() > 150 and counts.max() < 250  # 200 each


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(0, 50), st.integers(1, 40))
def test_thinning_takes_repeats_only_and_leaves_enough(actions, index, fewest):
    actions = np.array(actions)
    steps = thinned(actions, (0, 0, index), fewest)
    gone = np.setdiff1d(np.arange(len(actions)), steps)
    assert len(steps) >= min(fewest, len(actions))
    assert (actions[gone] == actions[gone - 1]).all() and 0 not in gone
    assert (np.diff(steps) > 0).all()


def test_thinning_has_the_originals_chances():
    actions = np.zeros(101, np.int64)  # a hundred repeats
    gone = np.array([101 - len(thinned(actions, (0, 0, i), 1)) for i in range(600)])
    assert 0.70 < (gone > 0).mean() < 0.80
    assert 64 < gone[gone > 0].mean() < 69


def test_batches_are_padded_as_the_original_pads(episode):
    long, short = (read_window(episode, (0, 0, 0), WindowConfig(length=n)) for n in (12, 5))
    batch = WindowBatch.of([short, long])
    assert batch.frames.shape == (2, 12, 2, 48, 64, 3) and batch.lengths.tolist() == [5, 12]
    assert not batch.frames[0, 5:].any()
    pads = {name: getattr(batch, name)[0, 5:] for name in ("actions", "last_actions", "time_ids")}
    assert (pads["actions"] == -1).all() and (pads["last_actions"] == 21).all()
    assert (pads["time_ids"] == -1).all() and (batch.in_hand[0, 5:] == 2).all()
    np.testing.assert_array_equal(batch.actions[1], long.actions)
    np.testing.assert_array_equal(batch.frames[0, :5], short.frames)


def test_interleaving_without_weights_is_the_originals():
    order = Interleaving.of([2, 5, 3])
    assert len(order) == 15
    assert [(i % 3, i // 3) for i in range(15)] == list(
        zip(order.which.tolist(), order.nth.tolist(), strict=True)
    )


def test_interleaving_with_weights_is_in_proportion_at_every_moment():
    order = Interleaving.of([100, 30], [3.0, 1.0])
    assert len(order) == 101 + 34  # the first set once; 30 of the second would need only 120
    first = np.cumsum(order.which == 0)
    np.testing.assert_allclose(first, 0.75 * np.arange(1, 136), atol=1.01)
    for which in (0, 1):
        nth = order.nth[order.which == which]
        np.testing.assert_array_equal(nth, np.arange(len(nth)))
