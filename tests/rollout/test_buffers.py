import gc
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flare.errors import UserError
from flare.rollout.buffers import ArraySpec, RolloutBuffer
from tests.rollout.small_buffer import FACTS, shm_entries, small_buffer


def test_arrays_have_their_specs_and_start_zeroed_and_aligned():
    buffer = small_buffer()
    assert buffer.names == ("frames", "facts", "actions", "rewards")
    assert buffer.array("facts").dtype == FACTS
    assert buffer.array("frames").shape == (5, 2, 2, 6, 8, 3)
    for name in buffer.names:
        array = buffer.array(name)
        assert array.ctypes.data % 64 == 0
        assert not array.view(np.uint8).any()
    big = RolloutBuffer.create([ArraySpec("x", "f4", ()), ArraySpec("big", "u1", (9000,))], 1)
    assert big.array("big").ctypes.data % 4096 == 0


def test_arrays_and_tensors_outlive_the_buffer():
    buffer = small_buffer()
    rewards, row, tensor = (
        buffer.array("rewards"),
        buffer.array("rewards")[1],
        buffer.tensor("rewards"),
    )
    rewards[1] = 7
    del buffer, rewards
    gc.collect()
    assert row.tolist() == [7, 7] and tensor[1].tolist() == [7, 7]
    tensor[1, 0] = 3
    assert row.tolist() == [3, 7]


def test_an_unknown_array_names_those_that_exist():
    with pytest.raises(KeyError, match="no array 'obs'; the buffer has frames, facts"):
        small_buffer().array("obs")


@pytest.mark.parametrize(
    ("specs", "num_envs", "error", "message"),
    [
        ([], 1, ValueError, "at least one array"),
        ([ArraySpec("a", "f4", (1,))], 0, ValueError, "environments, got 0"),
        ([ArraySpec("a", "f4", (1,)), ArraySpec("a", "i4", (1,))], 1, ValueError, "two arrays"),
        ([ArraySpec("a b", "f4", (1,))], 1, ValueError, "array name 'a b'"),
        ([ArraySpec("a", "f4", (1,) * 9)], 1, ValueError, "9 axes"),
        ([ArraySpec("a", "f4", (2**40, 2**40))], 1, ValueError, "does not fit 64 bits"),
        ([ArraySpec("a", object, (1,))], 1, TypeError, "Python objects"),
        ([ArraySpec("a", "u1", (2**50,))], 1, OSError, r"wanted \d+ bytes .*left; use fewer"),
    ],
)
def test_bad_specs_are_refused(specs, num_envs, error, message):
    with pytest.raises(error, match=message):
        RolloutBuffer.create(specs, num_envs)


def test_a_named_buffer_too_large_for_dev_shm_says_so_and_leaves_nothing():
    before = shm_entries()
    with pytest.raises(OSError, match=r"wanted .* /dev/shm has .* left; enlarge it"):
        RolloutBuffer.create([ArraySpec("a", "u1", (2**50,))], 1, shared="flare-test-large")
    assert shm_entries() == before


def test_memory_that_the_driver_does_not_lock_is_one_clear_error(monkeypatch):
    refusal = SimpleNamespace(cudaHostRegister=lambda *_: 2)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: refusal)
    with pytest.raises(UserError, match="use fewer worlds or shorter rollouts"):
        small_buffer().pin()
