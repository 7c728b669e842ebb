"""Step by step with a cache, and all steps at once: the same, for any starts and ends."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.errors import UserError
from flare.policy.kv_cache import SharedCounterCache
from flare.policy.policy import Policy
from flare.policy.spoc.config import Compat
from tests.policy.spoc.golden import row
from tests.policy.spoc.spoc_cases import TINY, random_steps, random_tokens


def policy_of(**changes):
    torch.manual_seed(0)
    policy = Policy(replace(TINY, **changes)).eval()
    with torch.no_grad():
        policy.actor_head.weight.mul_(100.0)  # logits that differ clearly, as after training
    return policy


@pytest.mark.parametrize(
    ("critic", "decoder"),
    [("tower", "causal"), ("shared", "causal"), ("facts", "causal"), ("tower", "cross")],
)
@settings(max_examples=25, deadline=None)
@given(
    starts=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=14),
    warm=st.integers(1, 6),
    carry=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_cached_decoding_is_full_recomputation(critic, decoder, starts, warm, carry, seed):
    policy, rng = policy_of(critic=critic, decoder=decoder), torch.Generator().manual_seed(seed)
    begins, steps = torch.tensor(starts), len(starts)
    cache = policy.new_cache(3, max_len=warm + steps)
    for _ in range(warm):
        policy.act(random_steps(TINY, 3, rng=rng), cache, None)
    if not carry:
        cache.restart()
    prefix = cache.prefix() if carry else None
    obs, outputs = random_steps(TINY, steps, 3, rng=rng), []
    for t in range(steps):
        cache.reset(begins[t])
        outputs.append(policy.act(row(obs, t), cache, torch.rand(3, generator=rng)))
    actions = torch.stack([out.action for out in outputs])
    full = policy.evaluate_actions(obs, actions, begins, prefix)
    for name in ("log_prob", "value", "logits"):
        stepped = torch.stack([getattr(out, name) for out in outputs])
        torch.testing.assert_close(getattr(full, name), stepped, rtol=1e-5, atol=1e-5)


def test_a_whole_long_episode_fits():
    """1,200 steps: the last one still depends on the first."""
    policy, rng = policy_of(), torch.Generator().manual_seed(0)
    obs = random_steps(TINY, 1200, 1, rng=rng)
    first = obs.features.clone()
    first[0] += 1.0
    last = []
    for steps in (obs, obs.with_features(first)):
        cache = policy.new_cache(1, max_len=1200)
        pointers = cache.keys.data_ptr(), cache.values.data_ptr()
        for t in range(1200):
            out = policy.act(row(steps, t), cache, None)
        assert pointers == (cache.keys.data_ptr(), cache.values.data_ptr())
        last.append(out.logits)
    assert (last[0] - last[1]).abs().max() > 1e-5
    with torch.no_grad():
        full = policy.evaluate_logits(obs, torch.zeros(1200, 1, dtype=torch.bool))[-1]
    torch.testing.assert_close(full, last[0], rtol=1e-5, atol=1e-5)


def test_an_instruction_is_encoded_once():
    policy, rng = policy_of(), torch.Generator().manual_seed(1)
    tokens = random_tokens(TINY, 20, rng=rng)
    read = []
    policy.instructions.encoder.register_forward_hook(lambda _m, args, _o: read.append(args[0]))
    for _ in range(3):
        policy.instructions(tokens.view(4, 5, -1))
    policy.instructions(torch.nn.functional.pad(tokens, (0, 2)))  # more padding, the same text
    assert sum(len(batch) for batch in read) == len(tokens.unique(dim=0))


def test_the_text_memory_is_emptied_with_the_weights():
    policy, rng = policy_of(), torch.Generator().manual_seed(1)
    tokens = random_tokens(TINY, 2, rng=rng)
    before = policy.instructions(tokens).features.clone()
    state = {n: t + 0.1 if t.is_floating_point() else t for n, t in policy.state_dict().items()}
    policy.load_state_dict(state)
    assert not torch.allclose(policy.instructions(tokens).features, before)


def test_text_first_met_in_acting_and_then_in_training_is_read_into_one_memory():
    """The memory that acting made was closed to who reads outside inference mode."""
    torch.manual_seed(0)
    policy = Policy(TINY).eval()
    tokens = torch.randint(3, TINY.text.vocab_size, (2, 4))
    with torch.inference_mode():
        acted = policy.instructions(tokens[:1]).features.clone()
    both = policy.instructions(tokens)
    assert torch.equal(both.features[both.index[0]], acted[0])


def test_pads_are_not_seen_unless_asked():
    """What a step gives must not depend on the instructions of other steps; the original's does."""
    for padding in (False, True):
        policy = policy_of(compat=Compat(text_padding=padding))
        rng = torch.Generator().manual_seed(2)
        obs = random_steps(TINY, 1, 2, rng=rng)
        short = torch.tensor([[5, 6, 1, 0, 0, 0, 0, 0, 0]])
        long = torch.tensor([[5, 6, 7, 8, 9, 1, 0, 0, 0]])
        logits = []
        for other in (short, long):
            tokens = torch.cat([short, other])[None]
            steps = type(obs)(
                **{n: getattr(obs, n) for n in obs.__slots__ if n != "tokens"}, tokens=tokens
            )
            logits.append(policy.act(row(steps, 0), policy.new_cache(2, 2), None).logits[0])
        moved = (logits[0] - logits[1]).abs().max().item()
        assert (moved > 1e-3) == padding and (padding or moved < 1e-5)


def test_one_row_of_the_last_layer_is_the_whole_layer():
    policy, rng = policy_of(), torch.Generator().manual_seed(3)
    layer = policy.actor_tower.fusion.layers[-1].double()
    x = torch.randn(4, 11, 16, generator=rng, dtype=torch.float64, requires_grad=True)
    for lengths in (None, torch.tensor([11, 8, 11, 11])):
        whole, one = layer(x, lengths)[:, 0], layer.first_row(x, lengths)
        torch.testing.assert_close(one, whole, rtol=1e-12, atol=1e-12)
        grads = [torch.autograd.grad(out.sin().sum(), [x, *layer.parameters()], allow_unused=True)
                 for out in (whole, one)]  # fmt: skip
        for got, want in zip(*grads, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_act_without_value_chooses_the_same():
    policy, rng = policy_of(), torch.Generator().manual_seed(4)
    caches = [policy.new_cache(3, 5) for _ in range(2)]
    for _ in range(5):
        obs, uniforms = random_steps(TINY, 3, rng=rng), torch.rand(3, generator=rng)
        with_value = policy.act(obs, caches[0], uniforms)
        without = policy.act(obs, caches[1], uniforms, with_value=False)
        assert torch.equal(with_value.logits, without.logits)
        assert torch.equal(with_value.action, without.action) and not without.value.any()


def test_bfloat16_is_near_float32():
    policy, rng = policy_of(), torch.Generator().manual_seed(5)
    half = policy_of().to(torch.bfloat16)
    assert half.actor_tower.time_encoding.frequencies.dtype == torch.float32
    caches = policy.new_cache(3, 8), half.new_cache(3, 8)
    assert caches[1].keys.dtype == torch.bfloat16
    for _ in range(8):
        obs = random_steps(TINY, 3, rng=rng)
        full, low = (p.act(obs, c, None) for p, c in zip((policy, half), caches, strict=True))
        assert low.logits.dtype == low.value.dtype == torch.float32
        torch.testing.assert_close(low.log_prob, full.log_prob, rtol=0.1, atol=0.1)


def test_the_shared_counter_has_no_prefix():
    compat = Compat(shared_counter=True, time_window_mask=True, max_steps=7)
    policy = policy_of(compat=compat)
    cache = policy.new_cache(2, max_len=100)
    assert isinstance(cache, SharedCounterCache) and cache.max_len == 7
    with pytest.raises(UserError, match=r"collector\.memory: is 'carry'"):
        cache.prefix()
    with pytest.raises(UserError, match=r"compat\.time_window_mask: is off"):
        Compat(shared_counter=True)
    with pytest.raises(UserError, match=r"compat\.shared_counter: is off"):
        Compat(time_window_mask=True)


def test_every_switch_stands_in_the_table():
    table = (Path(__file__).parents[3] / "docs" / "oddities.md").read_text()
    switches = [f.name for f in fields(Compat) if f.name != "max_steps"]
    assert switches and all(f"| `compat.{name}` |" in table for name in switches)
    flare, weights = Compat.named("flare"), Compat.named("weights")
    assert all(getattr(flare, name) for name in switches)
    assert [name for name in switches if getattr(weights, name)] == ["central_crop"]
    assert Compat.named("none") == Compat()
