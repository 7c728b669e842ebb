"""What kernels with matrix products share: products, and tiles of rows to multiply.

A matrix here is [size, D] numbers, its rows ``stride`` apart; tiles are [BLOCK, BLOCK_D], zeros
outside the matrix.
"""

# mypy: disable-error-code="no-untyped-def"

from flare.kernels._launch import jit, tl


@jit
def dot(a, b, acc, EMU: tl.constexpr):
    """``a @ b + acc``; float32 in three products of the matrix units, as exact as written out."""
    if EMU:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
    return tl.dot(a, b, acc, input_precision="tf32x3")


@jit
def rows(base, offs, stride, size, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Rows ``offs``, of all columns."""
    offs_d = tl.arange(0, BLOCK_D)
    mask = offs[:, None] < size
    if BLOCK_D != D:
        mask &= offs_d[None, :] < D
    return tl.load(base + offs[:, None] * stride + offs_d[None, :], mask=mask, other=0.0)


@jit
def store_rows(base, offs, stride, size, x, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Write rows ``offs``."""
    offs_d = tl.arange(0, BLOCK_D)
    mask = offs[:, None] < size
    if BLOCK_D != D:
        mask &= offs_d[None, :] < D
    tl.store(
        base + offs[:, None] * stride + offs_d[None, :], x.to(base.dtype.element_ty), mask=mask
    )
