"""The end of a vision transformer: final LayerNorm, class token dropped, patches averaged to cells.

    y[m, i, j] = mean over rows ⌊i·P/I⌋ to ⌈(i+1)·P/I⌉ and columns ⌊j·Q/J⌋ to ⌈(j+1)·Q/J⌉ of
                 LayerNorm(x[m, K + row·Q + column])

(windows of PyTorch's adaptive average pooling; neighbours overlap where P/I is no whole number.)

Shapes, dt = float32, bfloat16, float16 or (PyTorch only) float64:
    x     [M, K + P·Q, C] dt, K tokens before the patches of P rows and Q columns
    w, b  [C] dt
    y     [M, I·J, C], of ``out_dtype``

Inference only: what it closes is frozen. Ba et al. 2016 for the norm.
"""

# mypy: disable-error-code="no-untyped-def"

import torch
import torch.nn.functional as F
from torch import Tensor

from flare.kernels._launch import Config, cdiv, jit, launch, next_power_of_2, tl, uses_triton

CONFIG = Config(num_warps=4, num_stages=1)
Grid = tuple[int, int]


def ln_pool_reference(
    x: Tensor, w: Tensor, b: Tensor, *, patches: Grid, grid: Grid, eps: float = 1e-6,
    out_dtype: torch.dtype | None = None, upcast: bool = True,
) -> Tensor:  # fmt: skip
    """The formula in plain PyTorch; arguments as in ``ln_pool``.

    upcast: compute in float64.
    """
    out_dtype = x.dtype if out_dtype is None else out_dtype
    x = x[:, -patches[0] * patches[1] :]
    if upcast:
        x, w, b = x.double(), w.double(), b.double()
    normal = F.layer_norm(x, x.shape[-1:], w, b, eps)
    wide = torch.promote_types(normal.dtype, torch.float32)
    image = torch.unflatten(normal.to(wide).transpose(1, 2), -1, patches)
    pooled = F.adaptive_avg_pool2d(image, grid)
    return pooled.flatten(2).transpose(1, 2).to(out_dtype)


@jit
def ln_pool_kernel(
    x, w, b, y, size, skip, eps,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, UP: tl.constexpr, ACROSS: tl.constexpr,
    C: tl.constexpr, BLOCK_C: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """One program per cell of UP x ACROSS; a window has at most HIGH rows and WIDE columns."""
    m = (tl.program_id(0) // (UP * ACROSS)).to(tl.int64)
    cell = tl.program_id(0) % (UP * ACROSS)
    i, j = cell // ACROSS, cell % ACROSS
    top, bottom = i * ROWS // UP, ((i + 1) * ROWS + UP - 1) // UP
    left, right = j * COLUMNS // ACROSS, ((j + 1) * COLUMNS + ACROSS - 1) // ACROSS
    t = tl.arange(0, HIGH * WIDE)
    row, column = top + t // WIDE, left + t % WIDE
    alive = (row < bottom) & (column < right)
    c = tl.arange(0, BLOCK_C)
    mask = alive[:, None] & (c < C)[None, :]
    token = skip + row * COLUMNS + column
    values = tl.load(x + m * size * C + token[:, None] * C + c[None, :], mask=mask, other=0.0).to(
        tl.float32
    )  # [HIGH · WIDE, C]
    mu = tl.sum(values, 1) / C
    centred = tl.where(mask, values - mu[:, None], 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / C + eps)
    mean = tl.sum(centred * inverse[:, None], 0) / ((bottom - top) * (right - left))
    scale = tl.load(w + c, mask=c < C, other=0.0).to(tl.float32)
    shift = tl.load(b + c, mask=c < C, other=0.0).to(tl.float32)
    out = mean * scale + shift
    tl.store(y + (m * UP * ACROSS + cell) * C + c, out.to(y.dtype.element_ty), mask=c < C)


def _window(patches: int, cells: int) -> int:
    """Patches of the largest window along one axis."""
    return max(cdiv((i + 1) * patches, cells) - i * patches // cells for i in range(cells))


@torch.no_grad()
def ln_pool(
    x: Tensor, w: Tensor, b: Tensor, *, patches: Grid, grid: Grid, eps: float = 1e-6,
    out_dtype: torch.dtype | None = None,
) -> Tensor:  # fmt: skip
    """Normalise tokens and average those of the patches to a grid; no gradient.

    Args:
        x: [M, K + P·Q, C] floating; the K first tokens are dropped.
        w: [C] of x's dtype, of the LayerNorm.
        b: [C] likewise.
        patches: P and Q.
        grid: I and J, at most P and Q.
        eps: of the LayerNorm.
        out_dtype: of the result; None: x's.

    Returns:
        [M, I·J, C], cells row by row.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    skip = x.shape[1] - patches[0] * patches[1]
    if x.dim() != 3 or skip < 0 or w.shape != x.shape[2:] or b.shape != x.shape[2:]:
        raise ValueError(
            f"x must be [M, K + {patches[0]}·{patches[1]}, C] and w and b [C], "
            f"got {list(x.shape)}, {list(w.shape)}, {list(b.shape)}"
        )
    if grid[0] > patches[0] or grid[1] > patches[1]:
        raise ValueError(f"a grid of {grid} is finer than the patches, {patches}")
    if not uses_triton(x):
        return ln_pool_reference(
            x, w, b, patches=patches, grid=grid, eps=eps, out_dtype=out_dtype, upcast=False
        )
    x, width = x.contiguous(), x.shape[2]
    y = x.new_empty(len(x), grid[0] * grid[1], width, dtype=out_dtype)
    args = {
        "x": x, "w": w, "b": b, "y": y, "size": x.shape[1], "skip": skip, "eps": eps,
        "C": width, "BLOCK_C": next_power_of_2(width),
    }  # fmt: skip
    sizes = {
        "ROWS": patches[0], "COLUMNS": patches[1], "UP": grid[0], "ACROSS": grid[1],
        "HIGH": next_power_of_2(_window(patches[0], grid[0])),
        "WIDE": next_power_of_2(_window(patches[1], grid[1])),
    }  # fmt: skip
    launch(ln_pool_kernel, (len(x) * grid[0] * grid[1],), {**args, **sizes}, CONFIG)
    return y
