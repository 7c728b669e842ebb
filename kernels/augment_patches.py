"""Frames to the patches of a vision transformer, augmented on the way.

Per image, in this order: the four parts of the colour jitter in their drawn order, blur, resized
crop, posterisation, sharpening (the formulas stand in ``augment_reference``; every step ends in
uint8, as they do there), then the middle is cut into patches. Pixels stay 0 to 255: scale and shift
of a normalisation belong into the weights of the patches' product.

Shapes:
    images   [M, H, W, 3] uint8
    params   [M, 15] float32 on the CPU, columns as in ``augment_reference``
    patches  [M, rows · columns, 3 · patch · patch], channel, row and column of a patch's pixel
    augmented images  [M, H, W, 3] uint8

Four launches: the mean luma that the contrast part needs, jitter, blur, and crop to patch in one.
Products and sums are rounded apart, as results are cut to whole numbers.
"""

# mypy: disable-error-code="no-untyped-def"

import torch
from torch import Tensor

from flare.kernels._launch import (
    INTERPRETED,
    Config,
    cdiv,
    jit,
    launch,
    next_power_of_2,
    tl,
    uses_triton,
)
from flare.kernels.augment_reference import (
    BLUR_KERNEL,
    BOX,
    FACTORS,
    NUM_PARAMETERS,
    ORDER,
    POSTERIZE,
    SHARPEN,
    SIGMA,
    augment_reference,
    blur_weights,
)

_BLOCK = 8192 if INTERPRETED else 256  # the interpreter's time goes by the number of programs
CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK": _BLOCK}, has_fused_sums=False)
_MEAN_CONFIG = Config(
    num_warps=4, num_stages=1, blocks={"BLOCK": max(1024, _BLOCK)}, has_fused_sums=False
)
_CONTRAST = tl.constexpr(1)
# What the kernels read of an image: the parts' order and factors, the crop in whole pixels, the
# mask of bits, whether to sharpen, and the weights of the blur's two passes.
_NUM_READ = 14 + sum(BLUR_KERNEL)
_NUMBERS = tl.constexpr(_NUM_READ)


def patches_reference(
    images: Tensor, params: Tensor | None, *, patch: int, grid: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """The same in plain PyTorch; arguments as in ``augment_patches``."""
    x = images.permute(0, 3, 1, 2)
    if params is not None:
        x = augment_reference(x, params)
    rows, columns = grid
    top, left = (x.shape[2] - rows * patch) // 2, (x.shape[3] - columns * patch) // 2
    x = x[:, :, top : top + rows * patch, left : left + columns * patch].to(dtype)
    x = torch.unflatten(torch.unflatten(x, 3, (columns, patch)), 2, (rows, patch))
    return x.permute(0, 2, 4, 1, 3, 5).reshape(len(x), rows * columns, -1)


@jit
def _cut(x):
    """Limited to 0 to 255, and to whole numbers."""
    return tl.minimum(tl.maximum(x, 0.0), 255.0).to(tl.int32).to(tl.float32)


@jit
def _luma(red, green, blue):
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(tl.int32).to(tl.float32)


@jit
def _turned(red, green, blue, shift):
    """The hue turned by ``shift`` turns."""
    red, green, blue = tl.div_rn(red, 255.0), tl.div_rn(green, 255.0), tl.div_rn(blue, 255.0)
    high = tl.maximum(tl.maximum(red, green), blue)
    span = high - tl.minimum(tl.minimum(red, green), blue)
    safe = tl.where(span == 0.0, 1.0, span)
    saturation = tl.div_rn(span, tl.where(span == 0.0, 1.0, high))
    rc = tl.div_rn(high - red, safe)
    gc = tl.div_rn(high - green, safe)
    bc = tl.div_rn(high - blue, safe)
    hue = tl.where(high == red, bc - gc, tl.where(high == green, 2.0 + rc - bc, 4.0 + gc - rc))
    hue = tl.div_rn(hue, 6.0) + 1.0
    hue = hue - tl.floor(hue) + shift
    hue = hue - tl.floor(hue)
    red = _channel(hue, saturation, high, 5.0)
    green = _channel(hue, saturation, high, 3.0)
    blue = _channel(hue, saturation, high, 1.0)
    return red, green, blue


@jit
def _channel(hue, saturation, value, offset):
    k = offset + 6.0 * hue
    k = tl.where(k >= 6.0, k - 6.0, k)
    k = tl.where(k >= 6.0, k - 6.0, k)
    part = tl.minimum(tl.maximum(tl.minimum(k, 4.0 - k), 0.0), 1.0)
    return _cut((value - value * saturation * part) * 255.999)


@jit
def _one_part(red, green, blue, part, table, mean):
    """One part of the jitter; ``part`` is the same for a whole program."""
    factor = tl.load(table + 4 + part)
    if part == 3:
        red, green, blue = _turned(red, green, blue, factor)
    else:
        other = tl.zeros_like(red)
        if part == 1:
            other += mean
        if part == 2:
            other = _luma(red, green, blue)
        rest = 1.0 - factor
        red = _cut(factor * red + rest * other)
        green = _cut(factor * green + rest * other)
        blue = _cut(factor * blue + rest * other)
    return red, green, blue


@jit
def luma_kernel(images, table, partial, size, BLOCK: tl.constexpr):
    """Sums of the luma that contrast meets: partial [M, programs] int32; axis 1 is the image."""
    m = tl.program_id(1).to(tl.int64)
    table += m * _NUMBERS
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    at = images + m * size * 3 + p * 3
    red = tl.load(at, mask=p < size, other=0).to(tl.float32)
    green = tl.load(at + 1, mask=p < size, other=0).to(tl.float32)
    blue = tl.load(at + 2, mask=p < size, other=0).to(tl.float32)
    is_before = 1
    for turn in range(4):
        part = tl.load(table + turn).to(tl.int32)
        is_before = tl.where(part == _CONTRAST, 0, is_before)
        if is_before == 1:
            red, green, blue = _one_part(red, green, blue, part, table, 0.0)
    luma = tl.where(p < size, _luma(red, green, blue), 0.0).to(tl.int32)
    tl.store(partial + m * tl.num_programs(0) + tl.program_id(0), tl.sum(luma, 0))


@jit
def jitter_kernel(
    images, table, partial, out, size, programs, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr
):
    """The four parts of the jitter; axis 1 is the image."""
    m = tl.program_id(1).to(tl.int64)
    table += m * _NUMBERS
    part_sums = tl.arange(0, BLOCK_P)
    sums = tl.load(partial + m * programs + part_sums, mask=part_sums < programs, other=0)
    mean = tl.div_rn(tl.sum(sums, 0).to(tl.float32), size.to(tl.float32))
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    at = images + m * size * 3 + p * 3
    red = tl.load(at, mask=p < size, other=0).to(tl.float32)
    green = tl.load(at + 1, mask=p < size, other=0).to(tl.float32)
    blue = tl.load(at + 2, mask=p < size, other=0).to(tl.float32)
    for turn in range(4):
        part = tl.load(table + turn).to(tl.int32)
        red, green, blue = _one_part(red, green, blue, part, table, mean)
    into = out + m * size * 3 + p * 3
    tl.store(into, red.to(tl.uint8), mask=p < size)
    tl.store(into + 1, green.to(tl.uint8), mask=p < size)
    tl.store(into + 2, blue.to(tl.uint8), mask=p < size)


@jit
def _round(x):
    """To the nearest whole number, ties to the even one, 0 to 255."""
    x = tl.minimum(tl.maximum(x, 0.0), 255.0)
    # Adding 1.5 · 2^23 leaves no bits behind the point.
    return (x + 12582912.0) - 12582912.0


@jit
def blur_kernel(
    images, table, out, height, width, BLOCK: tl.constexpr,
    HALF_X: tl.constexpr, HALF_Y: tl.constexpr,
):  # fmt: skip
    """Both passes of the blur; axis 1 is the image."""
    m = tl.program_id(1).to(tl.int64)
    weights = table + m * _NUMBERS + 14
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    line = width * 3
    alive = e < height * line
    y, x, channel = e // line, e % line // 3, e % 3
    images += m * height * line
    total = tl.zeros([BLOCK], tl.float32)
    for j in tl.static_range(2 * HALF_Y + 1):
        row = tl.abs(y + (j - HALF_Y))
        row = tl.where(row >= height, 2 * (height - 1) - row, row)
        inner = tl.zeros([BLOCK], tl.float32)
        for i in tl.static_range(2 * HALF_X + 1):
            column = tl.abs(x + (i - HALF_X))
            column = tl.where(column >= width, 2 * (width - 1) - column, column)
            at = images + row * line + column * 3 + channel
            inner += tl.load(weights + i) * tl.load(at, mask=alive, other=0).to(tl.float32)
        total += tl.load(weights + 2 * HALF_X + 1 + j) * inner
    tl.store(out + m * height * line + e, _round(total).to(tl.uint8), mask=alive)


@jit
def _source(target, first, length, size):
    """Where on the source axis the centre of a target pixel lies, px."""
    source = tl.div_rn((target.to(tl.float32) + 0.5) * length, size.to(tl.float32)) - 0.5
    return first + tl.minimum(tl.maximum(source, 0.0), length - 1.0)


@jit
def _cropped(images, box, bits, y, x, channel, height, width, alive):
    """The cropped and posterised pixel (y, x): one of the resized crop's bilinear samples."""
    source_y = _source(y, tl.load(box), tl.load(box + 2), height)
    source_x = _source(x, tl.load(box + 1), tl.load(box + 3), width)
    top, left = tl.floor(source_y), tl.floor(source_x)
    down, right = source_y - top, source_x - left
    y0, x0 = top.to(tl.int32), left.to(tl.int32)
    y1, x1 = tl.minimum(y0 + 1, height - 1), tl.minimum(x0 + 1, width - 1)
    line = width * 3
    nw = tl.load(images + y0 * line + x0 * 3 + channel, mask=alive, other=0).to(tl.float32)
    ne = tl.load(images + y0 * line + x1 * 3 + channel, mask=alive, other=0).to(tl.float32)
    sw = tl.load(images + y1 * line + x0 * 3 + channel, mask=alive, other=0).to(tl.float32)
    se = tl.load(images + y1 * line + x1 * 3 + channel, mask=alive, other=0).to(tl.float32)
    value = nw * ((1.0 - down) * (1.0 - right)) + ne * ((1.0 - down) * right)
    value += sw * (down * (1.0 - right)) + se * (down * right)
    return (_round(value).to(tl.int32) & bits).to(tl.float32)


@jit
def crop_kernel(
    images, table, out, height, width, top, left, columns, elements,
    PATCH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Crop, posterise, sharpen; axis 1 is the image. PATCH: pixels of a side, 0 writes images."""
    m = tl.program_id(1).to(tl.int64)
    table += m * _NUMBERS
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    alive = e < elements
    if PATCH:
        numbers = 3 * PATCH * PATCH
        cell, inside = e // numbers, e % numbers
        channel = inside // (PATCH * PATCH)
        y = top + cell // columns * PATCH + inside % (PATCH * PATCH) // PATCH
        x = left + cell % columns * PATCH + inside % PATCH
    else:
        y, x, channel = e // (width * 3), e % (width * 3) // 3, e % 3
    images += m * height * width * 3
    bits = tl.load(table + 12).to(tl.int32)
    box = table + 8
    value = _cropped(images, box, bits, y, x, channel, height, width, alive)
    if tl.load(table + 13) != 0.0:
        is_inner = (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
        total = tl.zeros([BLOCK], tl.float32)
        for i in tl.static_range(9):
            near = _cropped(
                images, box, bits, y + i // 3 - 1, x + i % 3 - 1, channel, height, width,
                alive & is_inner,
            )  # fmt: skip
            weight = 5.0 if i == 4 else 1.0
            total += near * tl.div_rn(weight, 13.0)
        smooth = tl.where(is_inner, _round(total), value)
        value = _cut(2.0 * value - smooth)
    tl.store(out + m * elements + e, value.to(out.dtype.element_ty), mask=alive)


def _read_by_kernels(params: Tensor, height: int, width: int) -> Tensor:
    """[M, 28] float32 from the parameters, by the reference's formulas."""
    sizes = torch.tensor([height, width, height, width], dtype=torch.float32)
    rest = [params[:, ORDER], params[:, FACTORS], (params[:, BOX] * sizes).round()]
    flags = [params[:, POSTERIZE, None], params[:, SHARPEN, None]]
    weights = [blur_weights(params[:, SIGMA], size) for size in BLUR_KERNEL]
    return torch.cat([*rest, *flags, *weights], 1)


def _augmented(
    images: Tensor, params: Tensor, shape: tuple[int, ...], dtype: torch.dtype, patch: int,
    columns: int, corner: tuple[int, int],
) -> Tensor:  # fmt: skip
    count, height, width, _ = images.shape
    images = images.contiguous()
    params = _read_by_kernels(params, height, width).to(images.device, non_blocking=True)
    size = height * width
    programs = cdiv(size, _MEAN_CONFIG.blocks["BLOCK"])
    partial = images.new_empty(count, programs, dtype=torch.int32)
    jittered, blurred = torch.empty_like(images), torch.empty_like(images)
    out = images.new_empty(shape, dtype=dtype)
    args: dict[str, object] = {"images": images, "table": params, "size": size}
    launch(luma_kernel, (programs, count), {**args, "partial": partial}, _MEAN_CONFIG)
    args.update(partial=partial, out=jittered, programs=programs)
    args.update(BLOCK_P=next_power_of_2(programs))
    launch(jitter_kernel, (cdiv(size, _BLOCK), count), args, CONFIG)
    sizes = {"table": params, "height": height, "width": width}
    halves = {"HALF_X": BLUR_KERNEL[0] // 2, "HALF_Y": BLUR_KERNEL[1] // 2}
    grid = (cdiv(3 * size, _BLOCK), count)
    launch(blur_kernel, grid, {"images": jittered, "out": blurred, **sizes, **halves}, CONFIG)
    elements = out[0].numel()
    args = {
        "images": blurred, "out": out, "top": corner[0], "left": corner[1], "columns": columns,
        "elements": elements, "PATCH": patch, **sizes,
    }  # fmt: skip
    launch(crop_kernel, (cdiv(elements, _BLOCK), count), args, CONFIG)
    return out


def augment_images(images: Tensor, params: Tensor) -> Tensor:
    """Augmented images, no gradient.

    Args:
        images: [M, H, W, 3] uint8.
        params: [M, 15] float32 on the CPU.

    Returns:
        [M, H, W, 3] uint8.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    _check(images, params)
    if not uses_triton(images):
        out = augment_reference(images.permute(0, 3, 1, 2), params)
        return out.permute(0, 2, 3, 1).contiguous()
    return _augmented(images, params, tuple(images.shape), torch.uint8, 0, 0, (0, 0))


def augment_patches(
    images: Tensor,
    params: Tensor | None,
    *,
    patch: int,
    grid: tuple[int, int],
    dtype: torch.dtype = torch.bfloat16,
) -> Tensor:
    """Patches of augmented images, no gradient.

    Args:
        images: [M, H, W, 3] uint8.
        params: [M, 15] float32 on the CPU; None leaves the images as they are.
        patch: pixels of a patch's side.
        grid: rows and columns of patches, cut from the middle.
        dtype: of the result; 0 to 255 are exact in all.

    Returns:
        [M, rows · columns, 3 · patch · patch] of dtype.

    Raises:
        ValueError: shapes that do not belong together, with what was given.
    """
    _check(images, params)
    rows, columns = grid
    height, width = images.shape[1:3]
    if rows * patch > height or columns * patch > width:
        raise ValueError(
            f"{rows} x {columns} patches of {patch} px do not fit {height} x {width} px"
        )
    if params is None or not uses_triton(images):
        return patches_reference(images, params, patch=patch, grid=grid, dtype=dtype)
    corner = ((height - rows * patch) // 2, (width - columns * patch) // 2)
    shape = (len(images), rows * columns, 3 * patch * patch)
    return _augmented(images, params, shape, dtype, patch, columns, corner)


def _check(images: Tensor, params: Tensor | None) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[3] != 3:
        raise ValueError(
            f"images must be uint8 [M, H, W, 3], got {images.dtype} {list(images.shape)}"
        )
    if params is not None and params.shape != (len(images), NUM_PARAMETERS):
        raise ValueError(
            f"params must be [{len(images)}, {NUM_PARAMETERS}], got {list(params.shape)}"
        )
