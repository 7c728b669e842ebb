"""The cache's bookkeeping."""

import pytest
import torch

from flare.policy.kv_cache import KVCache


def _cache(num_envs=3, max_len=4):
    return KVCache(num_layers=2, num_envs=num_envs, max_len=max_len, num_heads=1, head_dim=2)


def _append(cache, number):
    cache.open_step(cache.lengths)
    for layer in range(2):
        rows = torch.full((cache.keys.shape[1], 1, 2), float(number + 10 * layer))
        cache.attend(layer, rows, rows, -rows)
    cache.advance()


def test_each_environment_has_its_own_length():
    cache = _cache()
    _append(cache, 1)
    cache.reset(torch.tensor([False, True, False]))
    _append(cache, 2)
    assert cache.lengths.tolist() == [2, 1, 2]
    assert cache.used() == 2
    assert cache.keys[0, :, :2, 0, 0].tolist() == [[1, 2], [2, 0], [1, 2]]
    assert cache.values[1, :, :2, 0, 0].tolist() == [[-11, -12], [-12, 0], [-11, -12]]


def test_nothing_is_allocated_per_step():
    cache = _cache()
    pointers = [t.data_ptr() for t in cache.state_dict().values()]
    for number in range(4):
        _append(cache, number)
    assert [t.data_ptr() for t in cache.state_dict().values()] == pointers


def test_prefix_is_a_copy_of_what_is_filled():
    cache = _cache()
    _append(cache, 1)
    prefix = cache.prefix()
    _append(cache, 2)
    cache.reset(torch.ones(3, dtype=torch.bool))
    assert prefix.keys.shape == (2, 3, 1, 1, 2)
    assert prefix.lengths.tolist() == [1, 1, 1]
    assert prefix.envs(1, 3).keys.data_ptr() == prefix.keys[:, 1].data_ptr()
    assert cache.prefix().keys.shape == (2, 3, 0, 1, 2)


def test_select_has_room_for_one_more_and_leaves_the_cache():
    cache = _cache()
    for number in range(4):
        _append(cache, number)
    rows = cache.select(torch.tensor([2, 0]))
    assert rows.max_len == 5 and rows.lengths.tolist() == [4, 4]
    _append(rows, 9)
    assert cache.lengths.tolist() == [4, 4, 4]
    assert rows.keys[0, 0, :, 0, 0].tolist() == [0, 1, 2, 3, 9]


def test_state_dict_restores_and_refuses_other_sizes():
    cache, other = _cache(), _cache()
    _append(cache, 1)
    other.load_state_dict({name: t.clone() for name, t in cache.state_dict().items()})
    assert torch.equal(other.keys, cache.keys) and torch.equal(other.lengths, cache.lengths)
    with pytest.raises(ValueError, match=r"keys must be \[2, 3, 4, 1, 2\], got \[2, 3, 6, 1, 2\]"):
        cache.load_state_dict(_cache(max_len=6).state_dict())


def test_a_cache_made_in_inference_mode_can_be_read_by_an_update():
    with torch.inference_mode():
        cache = _cache()
        _append(cache, 1)
    keys = cache.prefix().keys
    (keys * torch.ones(1, requires_grad=True)).sum().backward()
