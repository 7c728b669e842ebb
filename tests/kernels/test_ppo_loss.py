"""The loss of PPO: against float64 and against autograd through the formula."""

import itertools

import pytest
import torch

from flare.kernels._launch import use_backend
from flare.kernels.ppo_loss import STATS, ppo_loss, ppo_loss_reference
from tests.kernels.checks import DEVICE, ON_GPU, error, normal, poisoned

SIZES = (4096, 20) if ON_GPU else (70, 5)


def inputs(count, actions):
    rng = torch.Generator().manual_seed(3)
    chosen = torch.randint(0, actions, (count,), generator=rng)
    logits = normal(count, actions)
    # Ratios around 1, some of them beyond the clipping on each side.
    old = logits.log_softmax(-1).gather(-1, chosen[:, None])[:, 0] + 0.2 * normal(count, seed=1)
    return [
        logits,
        normal(count, seed=2),
        chosen,
        old,
        normal(count, seed=4),
        normal(count, seed=5),
    ]


@pytest.mark.parametrize(
    ("has_valid", "has_old", "has_anchor"), list(itertools.product([False, True], repeat=3))
)
def test_ppo_loss_matches_float64(has_valid, has_old, has_anchor):
    count, actions = SIZES
    tensors = inputs(count, actions)
    options = {}
    if has_valid:
        options["valid"] = torch.arange(count) % 3 != 1
        for x in tensors[3:]:
            x[1] = float("nan")  # of a step that does not count
    if has_old:
        options["old_values"] = tensors[1] + 0.2 * normal(count, seed=6)
    if has_anchor:
        options.update(reference=normal(count, actions, seed=7), anchor_coef=0.3)
    settings = {"clip_coef": 0.1, "value_loss_coef": 0.5, "entropy_coef": 0.01}
    exact = [x.double().requires_grad_() if i < 2 else x for i, x in enumerate(tensors)]
    wanted = ppo_loss_reference(*exact, **settings, **options)
    truth = torch.autograd.grad(3.0 * wanted[0], exact[:2])
    ours = [x.to(DEVICE).requires_grad_(i < 2) for i, x in enumerate(tensors)]
    moved = {n: x.to(DEVICE) if isinstance(x, torch.Tensor) else x for n, x in options.items()}
    with use_backend("triton"), poisoned():
        loss, stats = ppo_loss(*ours, **settings, **moved)
        grads = torch.autograd.grad(3.0 * loss, ours[:2])
        assert torch.equal(ppo_loss(*ours, **settings, **moved)[1], stats)
    assert error(loss, wanted[0]) <= 1e-5
    assert error(stats, wanted[1]) <= 1e-5
    for got, want in zip(grads, truth, strict=True):
        assert error(got * count, want * count) <= 1e-5
    named = dict(zip(STATS, stats.tolist(), strict=True))
    assert named["count"] == (count if not has_valid else int(options["valid"].sum()))
    assert 0.0 < named["clip_fraction"] < 1.0


def test_ppo_loss_by_hand():
    """Two actions of probability 1/2; r = 2 is clipped at 1.1 where A = 1, not where A = -1."""
    logits = torch.zeros(2, 2).to(DEVICE).requires_grad_()
    values = torch.tensor([1.0, 3.0]).to(DEVICE).requires_grad_()
    old = torch.tensor([0.25, 0.25]).log().to(DEVICE)
    one = torch.tensor([1.0, -1.0]).to(DEVICE)
    actions = torch.zeros(2, dtype=torch.int64, device=DEVICE)
    for backend in ("triton", "reference"):
        with use_backend(backend):
            loss, stats = ppo_loss(logits, values, actions, old, one, torch.ones(2, device=DEVICE),
                                   clip_coef=0.1, value_loss_coef=0.5)  # fmt: skip
            grads = torch.autograd.grad(loss, (logits, values))
        # policy: -(1.1 - 2) / 2; value: 0.5 · (0 + 4) / 2
        assert loss.item() == pytest.approx(0.45 + 0.5 * 1.0, rel=1e-6)
        assert stats.tolist() == pytest.approx(
            [0.45, 1.0, 0.693147, 2 - 1 - 0.693147, 1.0, 1.0, 0.0, 2.0], rel=1e-5
        )
        # d(-r A)/d log π = 2 / 2 for step 1; d log π / d logits = (1/2, -1/2)
        torch.testing.assert_close(grads[0].cpu(), torch.tensor([[0.0, 0.0], [0.5, -0.5]]))
        torch.testing.assert_close(grads[1].cpu(), torch.tensor([0.0, 0.5]))


def test_ppo_loss_names_what_it_got():
    logits, steps = torch.zeros(3, 2), torch.zeros(3)
    settings = {"clip_coef": 0.1, "value_loss_coef": 0.5}
    with pytest.raises(ValueError, match=r"\[3, 2\], .*'returns': \(2,\)"):
        ppo_loss(logits, steps, steps.long(), steps, steps, steps[:2], **settings)
    with pytest.raises(ValueError, match=r"reference must be \[3, 2\]"):
        ppo_loss(logits, steps, steps.long(), steps, steps, steps, reference=logits[:2], **settings)
