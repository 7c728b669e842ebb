"""Triton kernels of LayerNorm and RMSNorm, each with the residual before it, and their sizes.

RMSNorm is LayerNorm without centring and without a shift. Sums are in float32. Gradients of weights
are summed per program, then over programs in one fixed order, so two runs give the same bits.
"""

# mypy: disable-error-code="no-untyped-def"

import torch
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, next_power_of_2, tl

# Programs of a backward pass, 16 for each of an H100's multiprocessors: each holds partial sums of
# the weights' gradients.
PROGRAMS = 2112


def _config(rows: int, warps: int) -> Config:
    return Config(num_warps=warps, num_stages=1, blocks={"ROWS": rows})


# Rows of a program by the padded width, forward and backward, chosen on an H200: backward a row
# belongs to one warp, so that no sum over it waits for others.
CONFIGS: dict[tuple[str, int], Config] = {
    ("fwd", 128): _config(16, 4),
    ("fwd", 512): _config(4, 4),
    ("fwd", 1024): _config(4, 8),
    ("bwd", 128): _config(4, 1),
    ("bwd", 512): _config(1, 1),
    ("bwd", 1024): _config(1, 2),
}
MAX_WIDTH = 1024


def config_of(direction: str, width: int) -> Config:
    """The table's row of the smallest width that holds ``width``."""
    return next(CONFIGS[direction, w] for d, w in CONFIGS if d == direction and w >= width)


@jit
def norm_fwd_kernel(
    a, gain, r, w, b, s, y, mean, rstd, count, eps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr, HAS_R: tl.constexpr,
    HAS_GAIN: tl.constexpr, IS_CENTRED: tl.constexpr, KEEPS_S: tl.constexpr,
    IS_TRAINED: tl.constexpr,
):  # fmt: skip
    """One program per ROWS rows; mean and rstd are kept where there will be a backward pass."""
    rows = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    mask = (rows < count)[:, None] & (c < C)[None, :]
    offs = rows[:, None] * C + c[None, :]
    x = tl.load(a + offs, mask=mask, other=0.0).to(tl.float32)  # [ROWS, C]
    if HAS_GAIN:
        x *= tl.load(gain + c, mask=c < C, other=0.0).to(tl.float32)[None, :]
    if HAS_R:
        x += tl.load(r + offs, mask=mask, other=0.0).to(tl.float32)
        rounded = x.to(y.dtype.element_ty)
        if KEEPS_S:
            tl.store(s + offs, rounded, mask=mask)
        x = rounded.to(tl.float32)
    if IS_CENTRED:
        mu = tl.sum(x, 1) / C
        x = tl.where(mask, x - mu[:, None], 0.0)
        if IS_TRAINED:
            tl.store(mean + rows, mu, mask=rows < count)
    inverse = 1.0 / tl.sqrt(tl.sum(x * x, 1) / C + eps)
    out = x * inverse[:, None] * tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)[None, :]
    if IS_CENTRED:
        out += tl.load(b + c, mask=c < C, other=0.0).to(tl.float32)[None, :]
    tl.store(y + offs, out.to(y.dtype.element_ty), mask=mask)
    if IS_TRAINED:
        tl.store(rstd + rows, inverse, mask=rows < count)


@jit
def norm_bwd_kernel(
    s, w, mean, rstd, grad_y, grad_s, into, partial, count, steps,
    C: tl.constexpr, BLOCK_C: tl.constexpr, ROWS: tl.constexpr, IS_CENTRED: tl.constexpr,
    HAS_GRAD_S: tl.constexpr,
):  # fmt: skip
    """One program per ``steps`` groups of ROWS rows; partial [programs, 2 or 1, C]: dw, and db."""
    program = tl.program_id(0)
    c = tl.arange(0, BLOCK_C)
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    sum_w = tl.zeros([ROWS, BLOCK_C], tl.float32)
    sum_b = tl.zeros([ROWS, BLOCK_C], tl.float32)
    for step in range(0, steps):
        rows = ((program * steps + step) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        mask = (rows < count)[:, None] & (c < C)[None, :]
        offs = rows[:, None] * C + c[None, :]
        x = tl.load(s + offs, mask=mask, other=0.0).to(tl.float32)
        dy = tl.load(grad_y + offs, mask=mask, other=0.0).to(tl.float32)
        inverse = tl.load(rstd + rows, mask=rows < count, other=0.0)
        if IS_CENTRED:
            x = tl.where(mask, x - tl.load(mean + rows, mask=rows < count, other=0.0)[:, None], 0.0)
        normal = x * inverse[:, None]
        sum_w += dy * normal
        g = dy * scale[None, :]
        push = g - normal * (tl.sum(g * normal, 1) / C)[:, None]
        if IS_CENTRED:
            sum_b += dy
            push -= (tl.sum(g, 1) / C)[:, None]
        ds = push * inverse[:, None]
        if HAS_GRAD_S:
            ds += tl.load(grad_s + offs, mask=mask, other=0.0).to(tl.float32)
        tl.store(into + offs, ds.to(into.dtype.element_ty), mask=mask)
    parts: tl.constexpr = 2 if IS_CENTRED else 1
    own = partial + program.to(tl.int64) * parts * C + c
    tl.store(own, tl.sum(sum_w, 0), mask=c < C)
    if IS_CENTRED:
        tl.store(own + C, tl.sum(sum_b, 0), mask=c < C)


def run_forward(
    a: Tensor, r: Tensor | None, w: Tensor, b: Tensor | None, eps: float, *, keeps_s: bool,
    is_trained: bool, gain: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:  # fmt: skip
    """y, s, mean and rstd; s is y's memory, mean and rstd are empty, where they are not kept.

    b: None for an RMSNorm, which is not centred either and has no mean.
    """
    a = a.contiguous()
    count, width = a.numel() // a.shape[-1], a.shape[-1]
    y = torch.empty_like(a)
    s = a if r is None else torch.empty_like(a) if keeps_s else y
    rstd = a.new_empty(count * is_trained, dtype=torch.float32)
    mean = None if b is None else torch.empty_like(rstd)
    config = config_of("fwd", width)
    args = {
        "a": a, "gain": gain, "r": None if r is None else r.contiguous(), "w": w, "b": b, "s": s,
        "y": y, "mean": mean, "rstd": rstd, "count": count, "eps": eps, "C": width,
        "BLOCK_C": max(16, next_power_of_2(width)), "HAS_R": r is not None,
        "HAS_GAIN": gain is not None, "IS_CENTRED": b is not None, "KEEPS_S": keeps_s,
        "IS_TRAINED": is_trained,
    }  # fmt: skip
    launch(norm_fwd_kernel, (cdiv(count, config.blocks["ROWS"]),), args, config)
    return y, s, mean, rstd


def run_backward(
    s: Tensor, w: Tensor, mean: Tensor | None, rstd: Tensor, grad_y: Tensor, grad_s: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The gradient of s, and [2, C] those of w and b, or without a mean [1, C] that of w."""
    count, width = len(rstd), s.shape[-1]
    config = config_of("bwd", width)
    programs, steps = split_rows(count, config.blocks["ROWS"])
    into, parts = torch.empty_like(s), 1 if mean is None else 2
    partial = s.new_empty(programs, parts * width, dtype=torch.float32)
    args = {
        "s": s, "w": w, "mean": mean, "rstd": rstd, "grad_y": grad_y.contiguous(),
        "grad_s": None if grad_s is None else grad_s.contiguous(), "into": into,
        "partial": partial, "count": count, "steps": steps, "C": width,
        "BLOCK_C": max(16, next_power_of_2(width)), "IS_CENTRED": mean is not None,
        "HAS_GRAD_S": grad_s is not None,
    }  # fmt: skip
    launch(norm_bwd_kernel, (programs,), args, config)
    return into, column_sums(partial, w.dtype).view(parts, width)


@jit
def column_sum_kernel(partial, out, programs, width, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sum [programs, width] over the programs, in one fixed order."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    total = tl.zeros([BLOCK_P, BLOCK_C], tl.float32)
    for first in range(0, programs, BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        mask = (p < programs)[:, None] & (c < width)[None, :]
        total += tl.load(partial + p[:, None] * width + c[None, :], mask=mask, other=0.0)
    tl.store(out + c, tl.sum(total, 0).to(out.dtype.element_ty), mask=c < width)


# Many rows at once: what it takes is the time from one step of the loop to the next.
SUM_CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK_P": 128, "BLOCK_C": 32})


def column_sums(partial: Tensor, dtype: torch.dtype) -> Tensor:
    """[P, W] float32 to [W] of dtype, deterministic."""
    programs, width = partial.shape
    out = partial.new_empty(width, dtype=dtype)
    args = {"partial": partial, "out": out, "programs": programs, "width": width}
    launch(column_sum_kernel, (cdiv(width, SUM_CONFIG.blocks["BLOCK_C"]),), args, SUM_CONFIG)
    return out


def split_rows(count: int, rows: int, programs: int = PROGRAMS) -> tuple[int, int]:
    """Programs, and groups of ``rows`` rows that each takes."""
    groups = cdiv(count, rows)
    steps = max(1, cdiv(groups, programs))
    return cdiv(groups, steps), steps


def check_norm(a: Tensor, r: Tensor | None, w: Tensor, b: Tensor | None) -> None:
    """Refuse shapes and dtypes of a norm's arguments that do not belong together."""
    given = [list(x.shape) for x in (a, r, w, b) if x is not None]
    width = a.shape[-1:]
    if w.shape != width or (b is not None and b.shape != width):
        raise ValueError(f"weights of a norm must be {list(width)}, got shapes {given}")
    if r is not None and r.shape != a.shape:
        raise ValueError(f"a and r must share one shape, got {list(a.shape)}, {list(r.shape)}")
    dtypes = {x.dtype for x in (a, r, w, b) if x is not None}
    if len(dtypes) > 1 or not a.is_floating_point():
        raise ValueError(f"a norm's arguments must share one floating dtype, got {dtypes}")
