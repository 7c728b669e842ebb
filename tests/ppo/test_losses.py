"""PPO's losses: hand-computed numbers, properties, and the original's numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flare.kernels import ppo_terms
from flare.ppo import losses

CLIP = 0.1
SUPPORT = torch.linspace(-5.0, 15.0, 102)
SIGMA = 0.15

# Of each run: entropy coefficient, value loss, its coefficient, which advantages; no advantages
# means no policy loss.
RUNS = {
    "log_default": (0.0, "plain", 0.5, "advantages"),
    "log_entropy": (0.01, "plain", 0.5, "advantages"),
    "log_clipped_normalised": (0.01, "clipped", 0.5, "normalised_advantages"),
    "log_discrete": (0.0, "discrete", 0.5, "advantages"),
    "ppo_config": (0.01, "clipped", 0.5, "normalised_advantages"),
    "ppo_plain": (0.0, "plain", 0.5, "advantages"),
    "ppo_entropy": (0.01, "plain", 0.5, "advantages"),
    "value": (0.0, "plain", 1.0, None),
    "value_clipped": (0.0, "clipped", 1.0, None),
    "value_stop_grad": (0.0, "plain", 1.0, None),
}


def assert_golden(got, want):
    """|got - want| <= 1e-4·(|want| + max(1e-3, mean |want|))."""
    want = torch.from_numpy(np.asarray(want))
    limit = 1e-4 * (want.abs() + max(1e-3, float(want.abs().mean())))
    assert got.shape == want.shape
    assert bool(((got - want).abs() <= limit).all()), (got - want).abs().max()


@pytest.fixture(scope="module")
def golden(shared_dir):
    with np.load(shared_dir / "golden" / "losses.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("run", RUNS)
def test_losses_and_gradients_are_the_originals(golden, run):
    entropy_coef, value_kind, value_coef, which = RUNS[run]
    data = {name: torch.from_numpy(golden[name]) for name in golden if "/" not in name}
    leaves = {n: data[n].requires_grad_() for n in ("logits", "values", "bin_logits")}
    values, returns = data["values"][..., 0], data["returns"][..., 0]
    if value_kind == "plain":
        value, _ = ppo_terms.value_loss(values, returns)
    elif value_kind == "clipped":
        value, _ = ppo_terms.clipped_value_loss(values, data["old_values"][..., 0], returns, CLIP)
    else:
        value, _ = losses.hl_gauss_value_loss(data["bin_logits"], returns, SUPPORT, SIGMA)
    total = value_coef * value
    if which is not None:
        log_probs = data["logits"].log_softmax(-1).gather(-1, data["actions"][..., None])[..., 0]
        action, _ = ppo_terms.clipped_surrogate_loss(
            log_probs, data["old_log_probs"], data[which][..., 0], CLIP
        )
        entropy, _ = ppo_terms.entropy_loss(data["logits"])
        total = total + action + entropy_coef * entropy
        assert_golden(action, golden[f"{run}/action"])
        assert_golden(entropy, golden[f"{run}/entropy"])
    assert_golden(value, golden[f"{run}/value"])
    assert_golden(total, golden[f"{run}/total"])
    total.backward()
    for name, leaf in leaves.items():
        if f"{run}/grad_{name}" in golden:
            assert_golden(leaf.grad, golden[f"{run}/grad_{name}"])


def test_normalised_advantages_are_the_originals(golden):
    got = losses.normalise_advantages(torch.from_numpy(golden["advantages"]))
    assert_golden(got, golden["normalised_advantages"])


def test_hl_gauss_histograms_are_the_originals(shared_dir):
    with np.load(shared_dir / "golden" / "hl_gauss.npz") as file:
        support = torch.from_numpy(file["support"])
        probs = losses.hl_gauss_targets(torch.from_numpy(file["target"]), support, SIGMA)
        assert_golden(support, SUPPORT.numpy())
        assert_golden(probs, file["probs"])
        assert_golden(losses.hl_gauss_values(probs, support), file["back"])


def test_clipped_surrogate_by_hand():
    """Ratios 1.5 and 0.5 with A = 1: min(1.5, 1.1) and min(0.5, 0.9); mean 0.8."""
    old = torch.zeros(2)
    loss, stats = ppo_terms.clipped_surrogate_loss(
        torch.tensor([1.5, 0.5]).log(), old, torch.ones(2), CLIP
    )
    assert loss.item() == pytest.approx(-0.8)
    assert stats["clip_fraction"].item() == 1.0
    assert stats["ratio_error"].item() == pytest.approx(0.5)
    # k3: mean(0.5 - log 1.5, -0.5 - log 0.5)
    wanted = (0.5 - math.log(1.5) - 0.5 - math.log(0.5)) / 2
    assert stats["approx_kl"].item() == pytest.approx(wanted)


@given(st.floats(-3, 3), st.floats(-2, 2))
def test_clipped_surrogate_never_beats_the_plain_one(log_ratio, advantage):
    loss, _ = ppo_terms.clipped_surrogate_loss(
        torch.tensor([log_ratio]), torch.zeros(1), torch.tensor([advantage]), CLIP
    )
    assert loss.item() >= -math.exp(log_ratio) * advantage - 1e-5


def test_clipped_value_loss_ignores_small_moves():
    old, returns = torch.zeros(3), torch.tensor([1.0, -1.0, 0.5])
    values = torch.tensor([0.05, -0.05, 0.01])
    clipped, stats = ppo_terms.clipped_value_loss(values, old, returns, CLIP)
    assert clipped.item() == pytest.approx(ppo_terms.value_loss(values, returns)[0].item())
    assert stats["value_clip_fraction"].item() == 0.0


def test_clipped_value_loss_takes_the_worse_of_both():
    """V 0 -> 1, R = 1, clip 0.1: max(0, (0.1 - 1)²)/2 = 0.405."""
    loss, _ = ppo_terms.clipped_value_loss(torch.ones(1), torch.zeros(1), torch.ones(1), CLIP)
    assert loss.item() == pytest.approx(0.405)


def test_entropy_of_uniform_logits_is_log_of_their_number():
    loss, stats = ppo_terms.entropy_loss(torch.zeros(4, 7))
    assert loss.item() == pytest.approx(-math.log(7))
    assert stats["entropy"].item() == pytest.approx(math.log(7))


@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_kl_to_reference_is_positive_and_zero_at_the_reference(numbers):
    logits, reference = torch.tensor([numbers]), torch.tensor([[0.0, 1.0, -1.0]])
    assert ppo_terms.kl_to_reference(logits, reference)[0].item() >= -1e-6
    assert ppo_terms.kl_to_reference(logits, logits + 3.0)[0].item() == pytest.approx(0.0, abs=1e-5)


def test_kl_to_reference_by_hand():
    """Of (0.8, 0.2) to (0.5, 0.5): 0.8·log 1.6 + 0.2·log 0.4."""
    loss, _ = ppo_terms.kl_to_reference(torch.tensor([[0.8, 0.2]]).log(), torch.zeros(1, 2))
    assert loss.item() == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))


def test_explained_variance_of_the_truth_a_constant_and_flat_returns():
    returns = torch.tensor([1.0, 2.0, 4.0])
    assert losses.explained_variance(returns, returns).item() == 1.0
    assert losses.explained_variance(torch.ones(3), returns).item() == pytest.approx(0.0)
    assert losses.explained_variance(returns, torch.ones(3)).item() == 0.0


@given(st.floats(-4.5, 14.5))
def test_hl_gauss_gives_the_target_back(target):
    probs = losses.hl_gauss_targets(torch.tensor([target]), SUPPORT, SIGMA)
    assert probs.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert losses.hl_gauss_values(probs, SUPPORT).item() == pytest.approx(target, abs=0.02)


def test_losses_refuse_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="values"):
        ppo_terms.value_loss(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="advantages"):
        ppo_terms.clipped_surrogate_loss(torch.zeros(4), torch.zeros(4), torch.zeros(4, 1), CLIP)
    with pytest.raises(ValueError, match="bin_logits"):
        losses.hl_gauss_value_loss(torch.zeros(4, 7), torch.zeros(4), SUPPORT, SIGMA)
