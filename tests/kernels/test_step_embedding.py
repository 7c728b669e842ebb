"""What a step adds to what was seen: action, hand and time."""

import pytest
import torch

from flare.kernels._launch import use_backend
from flare.kernels.step_embedding import step_embedding, step_embedding_reference
from flare.policy.time_encoding import TimeEncoding
from tests.kernels.checks import DEVICE, DTYPES, check, normal

ROWS, ACTIONS, HANDS, WIDTH = 37, 7, 3, 24


def numbers(padding=None):
    rng = torch.Generator().manual_seed(3)
    integers = {"action": ACTIONS, "hand": HANDS, "step": 600}
    found = {n: torch.randint(0, high, (ROWS,), generator=rng) for n, high in integers.items()}
    return {**found, "frequencies": TimeEncoding(WIDTH).frequencies, "padding": padding}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("has_hands", [True, False])
@pytest.mark.parametrize("padding", [None, ACTIONS - 1])
def test_step_embedding_matches_float64(dtype, has_hands, padding):
    tensors = [normal(ROWS, WIDTH), normal(ACTIONS, WIDTH, seed=1)]
    if has_hands:
        tensors.append(normal(HANDS, WIDTH, seed=2))
    given = numbers(padding)
    ours = {n: x.to(DEVICE) if isinstance(x, torch.Tensor) else x for n, x in given.items()}
    # Angles of hundreds in float32: sines are off by their last digits.
    check(
        lambda x, a, h=None: step_embedding(x, a, h, **ours),
        lambda x, a, h=None: step_embedding_reference(
            x, a, h, given["action"], given["hand"], given["step"], given["frequencies"].double(),
            padding=padding,
        ),
        tensors, dtype=dtype, slack=10.0 if dtype == torch.float32 else 2.0,
    )  # fmt: skip


def test_times_of_long_episodes():
    """Angles up to 10,000: what is off is the angle's own last digit in float32."""
    steps = torch.tensor([0, 1, 500, 4095, 9999])
    nothing = torch.zeros(len(steps), WIDTH)
    given = {"action": steps * 0, "hand": steps * 0, "step": steps,
             "frequencies": TimeEncoding(WIDTH).frequencies}  # fmt: skip
    wanted = step_embedding_reference(
        nothing, nothing[:1], None, *given.values(), upcast=False
    )  # fmt: skip
    on_device = {n: x.to(DEVICE) for n, x in given.items()}
    with use_backend("triton"):
        got = step_embedding(nothing.to(DEVICE), nothing[:1].to(DEVICE), None, **on_device)
    torch.testing.assert_close(got.cpu(), wanted, rtol=0.0, atol=2e-6)


def test_step_embedding_names_what_it_got():
    given = numbers()
    x, table = torch.zeros(ROWS, WIDTH), torch.zeros(ACTIONS, WIDTH)
    with pytest.raises(ValueError, match=r"tables \[rows, C\], got \[37, 24\], \[\[7, 8\]\]"):
        step_embedding(x, table[:, :8], None, **given)
    with pytest.raises(ValueError, match=r"must be \[37\] and frequencies \[12\], got \[\[3\]"):
        step_embedding(x, table, None, **{**given, "action": given["action"][:3]})
