"""Augmentation of frames as the original trains with: one draw per episode, applied in batch.

The transforms and parameters are those of its version 2, on uint8 images and in this order: colour
jitter (four parts in a drawn order), Gaussian blur, resized crop, four posterisations, sharpness.
Formulas and roundings follow torchvision's functions of those names on uint8 tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flare.policy.spoc.config import Compat
from flare.rng import keyed_uniform

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.4, 0.2, 0.05  # largest change of each factor
BLUR_KERNEL = (5, 9)  # px wide, px high
BLUR_SIGMA = (0.1, 2.0)  # px
CROP_AREA = (0.9, 1.0)  # share of the image
CROP_RATIO = (3 / 4, 4 / 3)  # of the crop's aspect to the image's
POSTERIZE_BITS, POSTERIZE_P = (7, 6, 5, 4), 0.2
SHARPNESS, SHARPNESS_P = 2.0, 0.5
SHARED_CALLS = 500  # calls that one draw serves with compat.shared_augmentation
CENTRAL_CROP = (42 / 384, 299 / 384)  # first column and width, as shares of the width
_CROP_TRIES = 10
_GRAY = (0.2989, 0.587, 0.114)
_ORDER, _FACTORS, _SIGMA, _SHARP, _POSTERIZE, _CROP = 0, 10, 20, 21, 30, 40  # draws of a key


@dataclass(frozen=True, slots=True)
class Augmentations:
    """Parameters of M images, drawn on the CPU."""

    order: NDArray[np.int64]  # [M, 4] which part of the jitter comes when
    factors: NDArray[np.float32]  # [M, 4] brightness, contrast, saturation, hue
    sigma: NDArray[np.float32]  # [M] px
    box: NDArray[np.float32]  # [M, 4] top, left, height, width, as shares of the image
    posterize: NDArray[np.uint8]  # [M] mask of the bits that stay
    sharpen: NDArray[np.bool_]  # [M]

    def __getitem__(self, images: slice) -> "Augmentations":
        """Those of some of the images."""
        return Augmentations(
            self.order[images], self.factors[images], self.sigma[images], self.box[images],
            self.posterize[images], self.sharpen[images],
        )  # fmt: skip


def draw_augmentations(
    seed: int,
    env: NDArray[np.int64],
    episode: NDArray[np.int64],
    *,
    num_cameras: int,
    compat: Compat,
    call: int = 0,
) -> Augmentations:
    """Parameters for one step of some environments; the cameras draw independently.

    Args:
        seed: of the run.
        env: [n] environments.
        episode: [n] the episode that each plays; one episode looks the same from start to end.
        num_cameras: C; images are n x C, cameras fastest.
        compat: with shared_augmentation all environments share a draw, which ``call`` decides; with
            central_crop the crop is the original's.
        call: how many steps were drawn for before.
    """
    if compat.shared_augmentation:
        env, episode = np.zeros_like(env), np.full_like(episode, call // SHARED_CALLS)
    keys = np.repeat(env, num_cameras), np.repeat(episode, num_cameras)
    camera = np.tile(np.arange(num_cameras), len(env))

    def uniform(draw: int, step: int | NDArray[np.int64] = 0) -> NDArray[np.float32]:
        return keyed_uniform(seed, *keys, step, 100 * (1 + camera) + draw)

    count = len(camera)
    # The original's jitter draws its order anew at every call, also where the rest is kept.
    fresh = np.full(count, call if compat.shared_augmentation else 0)
    ranks = np.stack([uniform(_ORDER + i, fresh) for i in range(4)], 1)
    spread = np.array([BRIGHTNESS, CONTRAST, SATURATION, HUE], np.float32)
    middle = np.array([1.0, 1.0, 1.0, 0.0], np.float32)
    factors = np.stack([uniform(_FACTORS + i) for i in range(4)], 1) * 2 - 1
    mask = np.full(count, 255, np.uint8)
    for i, bits in enumerate(POSTERIZE_BITS):
        kept = 7 if compat.shared_augmentation else bits  # its frozen draws forget the bits
        mask[uniform(_POSTERIZE + i) < POSTERIZE_P] &= np.uint8(256 - (1 << (8 - kept)))
    low, high = BLUR_SIGMA
    return Augmentations(
        order=ranks.argsort(1, kind="stable"),
        factors=middle + spread * factors.astype(np.float32),
        sigma=(low + (high - low) * uniform(_SIGMA)).astype(np.float32),
        box=_central_boxes(count) if compat.central_crop else _boxes(uniform, count),
        posterize=mask,
        sharpen=uniform(_SHARP) < SHARPNESS_P,
    )


def _central_boxes(count: int) -> NDArray[np.float32]:
    first, width = CENTRAL_CROP
    return np.tile(np.array([0.0, first, 1.0, width], np.float32), (count, 1))


def _boxes(uniform: Callable[[int], NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """Random crops within the image: the first of ten draws that fits, else all of it."""
    boxes = np.tile(np.array([0.0, 0.0, 1.0, 1.0], np.float32), (count, 1))
    open_ = np.ones(count, np.bool_)
    for i in range(_CROP_TRIES):
        u = [uniform(_CROP + 4 * i + k) for k in range(4)]
        area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * u[0]
        log_low, log_high = np.log(CROP_RATIO)
        ratio = np.exp(log_low + (log_high - log_low) * u[1])
        height, width = np.sqrt(area / ratio), np.sqrt(area * ratio)
        fits = open_ & (height <= 1) & (width <= 1)
        box = np.stack([(1 - height) * u[2], (1 - width) * u[3], height, width], 1)
        boxes[fits] = box[fits]
        open_ &= ~fits
    return boxes


def augment(images: Tensor, draws: Augmentations) -> Tensor:
    """Apply the draws: [M, 3, H, W] uint8 to the same shape, on the images' device."""
    images = _jitter(images, draws)
    images = gaussian_blur(images, _on(draws.sigma, images))
    images = resized_crop(images, _on(draws.box, images))
    images = images & _on(draws.posterize, images)[:, None, None, None]
    chosen = torch.from_numpy(np.flatnonzero(draws.sharpen)).to(images.device)
    if len(chosen):
        images[chosen] = adjust_sharpness(images[chosen])
    return images


def _on(values: NDArray[np.generic], images: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(images.device)


def _jitter(images: Tensor, draws: Augmentations) -> Tensor:
    parts = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    images, factors = images.clone(), _on(draws.factors, images)
    for turn in range(4):
        for index, part in enumerate(parts):
            # Chosen on the CPU, where the draws are: nothing waits for the device.
            chosen = _on(np.flatnonzero(draws.order[:, turn] == index), images)
            if len(chosen):
                images[chosen] = part(images[chosen], factors[chosen, index, None, None, None])
    return images


def _blend(images: Tensor, others: Tensor, factor: Tensor | float) -> Tensor:
    """``factor · images + (1 - factor) · others``, cut to 0 to 255 and to whole numbers."""
    mixed = factor * images.float() + (1.0 - factor) * others.float()
    return mixed.clamp(0, 255).to(torch.uint8)


def _gray(images: Tensor) -> Tensor:
    """Luma [M, 1, H, W], cut to whole numbers."""
    red, green, blue = torch.split(images.float(), 1, 1)
    return (_GRAY[0] * red + _GRAY[1] * green + _GRAY[2] * blue).to(torch.uint8)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; images [M, 3, H, W] uint8, factor [M, 1, 1, 1]."""
    return _blend(images, torch.zeros_like(images), factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean luma."""
    return _blend(images, _gray(images).float().mean((1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the luma."""
    return _blend(images, _gray(images), factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift`` turns, [M, 1, 1, 1]."""
    rgb = images.float() / 255.0
    red, green, blue = torch.split(rgb, 1, 1)
    high, low = rgb.amax(1, keepdim=True), rgb.amin(1, keepdim=True)
    span = high - low
    safe = torch.where(span == 0, 1.0, span)
    saturation = span / torch.where(span == 0, 1.0, high)
    rc, gc, bc = ((high - channel) / safe for channel in (red, green, blue))
    hue = torch.where(high == red, bc - gc, torch.where(high == green, 2 + rc - bc, 4 + gc - rc))
    hue = (hue / 6.0 + 1.0) % 1.0
    return _from_hsv((hue + shift) % 1.0, saturation, high)


def _from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """[M, 1, H, W] each, in 0 to 1, to [M, 3, H, W] uint8.

    Channel with offset n of 5, 3, 1: ``v - v s max(0, min(k, 4 - k, 1))``, ``k = (n + 6 h) mod 6``.
    """
    offsets = hue.new_tensor([5.0, 3.0, 1.0])[None, :, None, None]
    k = (offsets + 6.0 * hue) % 6.0
    rgb = value - value * saturation * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)
    return (rgb * 255.999).to(torch.uint8)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur [M, 3, H, W] uint8 with each image's own sigma [M] px; borders are mirrored."""
    x = images.float()
    for size, dim in zip(BLUR_KERNEL, (3, 2), strict=True):
        half = size // 2
        place = torch.arange(-half, half + 1, device=images.device)
        weights = torch.exp(-0.5 * (place / sigma[:, None]) ** 2)
        weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
        pads = (half, half, 0, 0) if dim == 3 else (0, 0, half, half)
        padded = F.pad(x, pads, mode="reflect")
        length = x.shape[dim]
        x = weights[:, 0] * padded.narrow(dim, 0, length)
        for i in range(1, size):
            x += weights[:, i] * padded.narrow(dim, i, length)
    return x.round().clamp(0, 255).to(torch.uint8)


def resized_crop(images: Tensor, box: Tensor) -> Tensor:
    """Cut each image's box [M, 4] (shares: top, left, height, width) and stretch it to full size.

    Boxes are rounded to whole pixels; bilinear between pixel centres, clamped to the box.
    """
    height, width = images.shape[-2:]
    rows = _sources(height, box[:, 0], box[:, 2])
    columns = _sources(width, box[:, 1], box[:, 3])
    y = (2 * rows + 1) / height - 1
    x = (2 * columns + 1) / width - 1
    across, down = x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)
    grid = torch.stack([across, down], 3)
    out = F.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
    return out.round().clamp(0, 255).to(torch.uint8)


def _sources(size: int, first: Tensor, share: Tensor) -> Tensor:
    """[M, size]: where on the source axis each target pixel's centre lies, px."""
    start, length = (first * size).round()[:, None], (share * size).round()[:, None]
    target = torch.arange(size, device=first.device)
    source = (target + 0.5) * length / size - 0.5
    return start + torch.minimum(source.clamp(min=0.0), length - 1)


def adjust_sharpness(images: Tensor, factor: float = SHARPNESS) -> Tensor:
    """Away from a smoothed copy (3 x 3, centre 5 of 13); the border pixels stay."""
    kernel = images.new_ones(3, 3, dtype=torch.float32)
    kernel[1, 1] = 5.0
    kernel = (kernel / kernel.sum()).expand(3, 1, 3, 3)
    smooth = images.clone()
    inner = F.conv2d(images.float(), kernel, groups=3).round().clamp(0, 255)
    smooth[..., 1:-1, 1:-1] = inner.to(torch.uint8)
    return _blend(images, smooth, factor)
