"""What a step of an episode adds to what was seen in it: action before, hand, and time.

    out[m, c] = x[m, c] + actions[action[m], c] + hands[hand[m], c] + time(step[m], c)
    time(t, 2k) = sin(t · w_k),   time(t, 2k + 1) = cos(t · w_k)

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x, out             [M, C] dt, C even
    actions            [A, C] dt
    hands              [2 or more, C] dt; may be absent
    action, hand, step [M] int64
    frequencies        [C / 2] float32, the w

Sums and angles are in float32. Source of the time: Vaswani et al. 2017, section 3.5.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import Config, jit, launch, next_power_of_2, tl, uses_triton

CONFIG = Config(num_warps=4, num_stages=1)


def time_encoding(step: Tensor, frequencies: Tensor) -> Tensor:
    """Steps [...] to [..., C] of the frequencies' dtype."""
    angles = step[..., None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)


def step_embedding_reference(
    x: Tensor, actions: Tensor, hands: Tensor | None, action: Tensor, hand: Tensor, step: Tensor,
    frequencies: Tensor, *, padding: int | None = None, upcast: bool = True,
) -> Tensor:  # fmt: skip
    """The formula in plain PyTorch; arguments as in ``step_embedding``.

    upcast: compute in float64 but for the angles, then round to x's dtype.
    """
    dtype = x.dtype
    if upcast:
        x, actions = x.double(), actions.double()
        hands = None if hands is None else hands.double()
    out = x + F.embedding(action, actions, padding)
    if hands is not None:
        out = out + F.embedding(hand, hands)
    return (out + time_encoding(step, frequencies).to(x.dtype)).to(dtype)


@jit
def _sine(angle, quarters):
    """``sin(angle + quarters · π / 2)`` of angles from 0 to some 10^4, without local memory.

    As in Moshier's Cephes: the angle less its whole quarter turns, taken off in three parts of few
    bits, then a polynomial of the sine or of the cosine.
    """
    turns = tl.floor(angle * 0.6366197723675814 + 0.5)
    x = angle - turns * 1.5703125
    x = x - turns * 4.837512969970703e-4
    x = x - turns * 7.549789954891882e-8
    z = x * x
    sine = x + x * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4))
    cosine = 4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5)
    cosine = 1.0 - 0.5 * z + z * z * cosine
    quadrant = turns.to(tl.int32) + quarters
    value = tl.where((quadrant & 1) == 0, sine, cosine)
    return tl.where((quadrant & 2) == 0, value, -value)


@jit
def step_kernel(
    x, actions, hands, action, hand, step, frequencies, out,
    C: tl.constexpr, BLOCK_C: tl.constexpr, HAS_HANDS: tl.constexpr,
):  # fmt: skip
    """One program per step."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    mask = c < C
    total = tl.load(x + row * C + c, mask=mask, other=0.0).to(tl.float32)
    before = tl.load(action + row)
    total += tl.load(actions + before * C + c, mask=mask, other=0.0).to(tl.float32)
    if HAS_HANDS:
        held = tl.load(hand + row)
        total += tl.load(hands + held * C + c, mask=mask, other=0.0).to(tl.float32)
    angle = tl.load(step + row).to(tl.float32) * tl.load(frequencies + c // 2, mask=mask, other=0.0)
    total += _sine(angle, c % 2)
    tl.store(out + row * C + c, total.to(out.dtype.element_ty), mask=mask)


class _StepEmbedding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, actions: Tensor, hands: Tensor | None, action: Tensor, hand: Tensor,
        step: Tensor, frequencies: Tensor, padding: int | None,
    ) -> Any:  # fmt: skip
        out = _forward(x, actions, hands, action, hand, step, frequencies)
        ctx.save_for_backward(action, hand)
        ctx.sizes = (len(actions), None if hands is None else len(hands))
        ctx.padding = -1 if padding is None else padding
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        action, hand = ctx.saved_tensors
        num_actions, num_hands = ctx.sizes
        of_table = torch.ops.aten.embedding_dense_backward
        actions = of_table(grad, action, num_actions, ctx.padding, False)
        hands = None if num_hands is None else of_table(grad, hand, num_hands, -1, False)
        return grad, actions, hands, None, None, None, None, None


def _forward(
    x: Tensor, actions: Tensor, hands: Tensor | None, action: Tensor, hand: Tensor, step: Tensor,
    frequencies: Tensor,
) -> Tensor:  # fmt: skip
    x = x.contiguous()
    out = torch.empty_like(x)
    args = {
        "x": x, "actions": actions, "hands": hands, "action": action.contiguous(),
        "hand": hand.contiguous(), "step": step.contiguous(), "frequencies": frequencies,
        "out": out, "C": x.shape[1], "BLOCK_C": next_power_of_2(x.shape[1]),
        "HAS_HANDS": hands is not None,
    }  # fmt: skip
    launch(step_kernel, (len(x),), args, CONFIG)
    return out


def step_embedding(
    x: Tensor, actions: Tensor, hands: Tensor | None, *, action: Tensor, hand: Tensor,
    step: Tensor, frequencies: Tensor, padding: int | None = None,
) -> Tensor:  # fmt: skip
    """Steps as the decoder reads them, differentiable in x and the tables.

    Args:
        x: [M, C] floating.
        actions: [A, C] of x's dtype.
        hands: [2 or more, C] of x's dtype; None: the hand is not seen.
        action: [M] int64, below A.
        hand: [M] int64, rows of hands.
        step: [M] int64, of the episode.
        frequencies: [C / 2] float32.
        padding: row of actions that gets no gradient; None: all do.

    Returns:
        [M, C] of x's dtype.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    tables = [t for t in (actions, hands) if t is not None]
    if x.dim() != 2 or x.shape[1] % 2 or any(t.shape[1:] != x.shape[1:] for t in tables):
        raise ValueError(
            f"x must be [M, C] with C even and the tables [rows, C], got {list(x.shape)}, "
            f"{[list(t.shape) for t in tables]}"
        )
    rows = (action, hand, step)
    if any(t.shape != x.shape[:1] for t in rows) or frequencies.shape != (x.shape[1] // 2,):
        raise ValueError(
            f"action, hand and step must be [{len(x)}] and frequencies [{x.shape[1] // 2}], "
            f"got {[list(t.shape) for t in (*rows, frequencies)]}"
        )
    given = (x, actions, hands, action, hand, step, frequencies)
    if uses_triton(x):
        out: Tensor = _StepEmbedding.apply(*given, padding)  # type: ignore[no-untyped-call]
        return out
    return step_embedding_reference(*given, padding=padding, upcast=False)
