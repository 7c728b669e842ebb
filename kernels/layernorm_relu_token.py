"""The fusion transformer's input: adapted image cells between a first token and the text's tokens.

    out[m, 0]             = first
    out[m, 1 + g·R + i]   = relu(LayerNorm(x[m, g, i])) + token[g]
    out[m, 1 + G·R + j]   = tail[index[m], j]

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x      [M, G, R, C] dt, G cameras of R cells
    w, b   [C] dt
    token  [G, C] dt
    first  [C] dt
    tail   [U, L, C] dt, index [M] integers, 0 to U - 1
    out    [M, 1 + G·R + L, C] dt

One launch writes all of it: nothing is concatenated. The gradients of ``first``, ``w``, ``b`` and
``token`` are sums over programs and then over these; that of ``tail`` is a product with the index
as a one-hot matrix. None depends on an order of threads.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, next_power_of_2, tl, uses_triton
from flare.kernels.norm_kernels import MAX_WIDTH, column_sums, config_of, split_rows

# By the bytes of a number.
FORWARD = {
    2: Config(num_warps=4, num_stages=1, blocks={"ROWS": 4}),
    4: Config(num_warps=4, num_stages=1, blocks={"ROWS": 2}),
}


def layernorm_relu_token_reference(
    x: Tensor,
    w: Tensor,
    b: Tensor,
    token: Tensor,
    *,
    first: Tensor,
    tail: Tensor,
    index: Tensor,
    eps: float = 1e-5,
    upcast: bool = True,
) -> Tensor:
    """The formula in plain PyTorch; arguments as in ``layernorm_relu_token``.

    upcast: compute in float64, then round to x's dtype.
    """
    dtype = x.dtype
    if upcast:
        x, w, b, token, first, tail = (t.double() for t in (x, w, b, token, first, tail))
    cells = F.relu(F.layer_norm(x, x.shape[-1:], w, b, eps)) + token[:, None]
    head = first.expand(len(x), 1, -1)
    return torch.cat([head, cells.flatten(1, 2), tail[index]], 1).to(dtype)


@jit
def sequence_fwd_kernel(
    x, w, b, token, first, tail, index, out, mean, rstd, cells, region, length, eps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """One program per ROWS places of one sequence.

    It divides its own number once, not those of its rows: in 64 bits that takes longer than sums.
    """
    size = 1 + cells + length
    blocks = tl.cdiv(size, ROWS)
    place = tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS)
    m = (tl.program_id(0) // blocks).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    wide = (c < C)[None, :]
    alive = place < size
    is_cell = alive & (place > 0) & (place <= cells)
    is_tail = alive & (place > cells)
    cell = m * cells + place - 1
    values = tl.load(
        x + cell[:, None] * C + c[None, :], mask=is_cell[:, None] & wide, other=0.0
    ).to(tl.float32)
    mu = tl.sum(values, 1) / C
    centred = tl.where(is_cell[:, None] & wide, values - mu[:, None], 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / C + eps)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    shift = tl.load(b + c, mask=c < C, other=0.0).to(tl.float32)
    adapted = tl.maximum(centred * inverse[:, None] * scale[None, :] + shift[None, :], 0.0)
    group = (place - 1) // region
    added = tl.load(
        token + group[:, None] * C + c[None, :], mask=is_cell[:, None] & wide, other=0.0
    ).to(tl.float32)
    which = tl.load(index + m).to(tl.int64)
    text = tl.load(
        tail + (which * length + place - 1 - cells)[:, None] * C + c[None, :],
        mask=is_tail[:, None] & wide, other=0.0,
    ).to(tl.float32)  # fmt: skip
    head = tl.load(first + c, mask=c < C, other=0.0).to(tl.float32)
    result = tl.where(is_cell[:, None], adapted + added, text)
    result = tl.where((place == 0)[:, None], head[None, :], result)
    offs = (m * size + place)[:, None] * C + c[None, :]
    tl.store(out + offs, result.to(out.dtype.element_ty), mask=alive[:, None] & wide)
    tl.store(mean + cell, mu, mask=is_cell)
    tl.store(rstd + cell, inverse, mask=is_cell)


@jit
def sequence_bwd_kernel(
    x, w, b, mean, rstd, grad, grad_x, partial, count, steps, per_group, cells, region, size,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Axis 1: the camera; axis 0: its M · R cells. partial [cameras, programs, 3, C].

    It holds dw, db and dtoken; count = M · R cells of a camera; per_group = programs of it.
    """
    program, group = tl.program_id(0), tl.program_id(1)
    c = tl.arange(0, BLOCK_C)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    shift = tl.load(b + c, mask=c < C, other=0.0).to(tl.float32)
    sum_w = tl.zeros([ROWS, BLOCK_C], tl.float32)
    sum_b = tl.zeros([ROWS, BLOCK_C], tl.float32)
    sum_t = tl.zeros([ROWS, BLOCK_C], tl.float32)
    for step in range(0, steps):
        n = ((program * steps + step) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        m, i = n // region, n % region
        cell = m * cells + group * region + i
        mask = (n < count)[:, None] & (c < C)[None, :]
        values = tl.load(x + cell[:, None] * C + c[None, :], mask=mask, other=0.0).to(tl.float32)
        place = m * size + 1 + group * region + i
        dy = tl.load(grad + place[:, None] * C + c[None, :], mask=mask, other=0.0).to(tl.float32)
        sum_t += dy
        mu = tl.load(mean + cell, mask=n < count, other=0.0)
        inverse = tl.load(rstd + cell, mask=n < count, other=0.0)
        normal = tl.where(mask, (values - mu[:, None]) * inverse[:, None], 0.0)
        dy = tl.where(normal * scale[None, :] + shift[None, :] > 0.0, dy, 0.0)
        sum_w += dy * normal
        sum_b += dy
        g = dy * scale[None, :]
        push = g - (tl.sum(g, 1) / C)[:, None] - normal * (tl.sum(g * normal, 1) / C)[:, None]
        ds = (push * inverse[:, None]).to(grad_x.dtype.element_ty)
        tl.store(grad_x + cell[:, None] * C + c[None, :], ds, mask=mask)
    into = partial + (group * per_group + program).to(tl.int64) * 3 * C + c
    tl.store(into, tl.sum(sum_w, 0), mask=c < C)
    tl.store(into + C, tl.sum(sum_b, 0), mask=c < C)
    tl.store(into + 2 * C, tl.sum(sum_t, 0), mask=c < C)


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor, token: Tensor, first: Tensor, tail: Tensor,
        index: Tensor, eps: float,
    ) -> Any:  # fmt: skip
        x, token, tail = x.contiguous(), token.contiguous(), tail.contiguous()
        frames, groups, region, width = x.shape
        cells, length = groups * region, tail.shape[1]
        out = x.new_empty(frames, 1 + cells + length, width)
        mean, rstd = (x.new_empty(frames * cells, dtype=torch.float32) for _ in range(2))
        config = FORWARD[x.dtype.itemsize]
        args = {
            "x": x, "w": w, "b": b, "token": token, "first": first.contiguous(), "tail": tail,
            "index": index.contiguous(), "out": out, "mean": mean, "rstd": rstd,
            "cells": cells, "region": region, "length": length, "eps": eps, "C": width,
            "BLOCK_C": max(16, next_power_of_2(width)),
        }  # fmt: skip
        blocks = cdiv(1 + cells + length, config.blocks["ROWS"])
        launch(sequence_fwd_kernel, (frames * blocks,), args, config)
        ctx.save_for_backward(x, w, b, mean, rstd, index)
        ctx.texts = len(tail)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w, b, mean, rstd, index = ctx.saved_tensors
        frames, groups, region, width = x.shape
        grad = grad.contiguous()
        config = config_of("bwd", width)
        count, size = frames * region, grad.shape[1]
        programs, steps = split_rows(count, config.blocks["ROWS"])
        grad_x = torch.empty_like(x)
        partial = x.new_empty(groups, programs, 3 * width, dtype=torch.float32)
        args = {
            "x": x, "w": w, "b": b, "mean": mean, "rstd": rstd, "grad": grad, "grad_x": grad_x,
            "partial": partial, "count": count, "steps": steps, "per_group": programs,
            "cells": groups * region, "region": region, "size": size, "C": width,
            "BLOCK_C": max(16, next_power_of_2(width)),
        }  # fmt: skip
        launch(sequence_bwd_kernel, (programs, groups), args, config)
        dw, db, _ = column_sums(partial.flatten(0, 1), w.dtype).view(3, width)
        d_token = torch.stack([column_sums(part[:, 2 * width :].contiguous(), w.dtype)
                               for part in partial])  # fmt: skip
        d_first = grad[:, 0].sum(0)
        tail = grad[:, 1 + groups * region :].flatten(1)
        one_hot = F.one_hot(index.long(), ctx.texts).to(tail.dtype)
        d_tail = (one_hot.t() @ tail).view(ctx.texts, -1, width)
        return grad_x, dw, db, d_token, d_first, d_tail, None, None


def layernorm_relu_token(
    x: Tensor,
    w: Tensor,
    b: Tensor,
    token: Tensor,
    *,
    first: Tensor,
    tail: Tensor,
    index: Tensor,
    eps: float = 1e-5,
) -> Tensor:
    """Build the sequence, differentiable in all but the index.

    Args:
        x: [M, G, R, C] floating, cells of G cameras before their LayerNorm.
        w: [C], of the LayerNorm.
        b: [C], likewise.
        token: [G, C], added to the cells of each camera.
        first: [C], row 0 of every sequence.
        tail: [U, L, C], rows behind the cells, one set per distinct text.
        index: [M] integers, the text of each frame.
        eps: of the LayerNorm.

    Returns:
        [M, 1 + G·R + L, C] of x's dtype.

    Raises:
        ValueError: arguments that do not belong together, with what was given.
    """
    width = x.shape[-1:]
    shapes = {name: list(t.shape) for name, t in
              {"x": x, "w": w, "b": b, "token": token, "first": first, "tail": tail,
               "index": index}.items()}  # fmt: skip
    if (
        x.dim() != 4
        or not (w.shape == b.shape == first.shape == width)
        or token.shape != (x.shape[1], *width)
        or tail.dim() != 3
        or tail.shape[2:] != width
        or index.shape != x.shape[:1]
    ):
        raise ValueError(
            "x must be [M, G, R, C], w, b and first [C], token [G, C], tail [U, L, C] and index "
            f"[M], got {shapes}"
        )
    if len({t.dtype for t in (x, w, b, token, first, tail)}) > 1 or not x.is_floating_point():
        raise ValueError(f"all but the index must share one floating dtype, got x of {x.dtype}")
    if uses_triton(x) and x.shape[-1] <= MAX_WIDTH:
        out: Tensor = _Sequence.apply(  # type: ignore[no-untyped-call]
            x, w, b, token, first, tail, index, eps
        )
        return out
    return layernorm_relu_token_reference(
        x, w, b, token, first=first, tail=tail, index=index, eps=eps, upcast=False
    )
