"""Augmentation of frames as the original trains with: one draw per episode, applied in batch.

The transforms and parameters are those of its version 2, on uint8 images and in this order: colour
jitter (four parts in a drawn order), Gaussian blur, resized crop, four posterisations, sharpness.
flare.kernels.augment_patches applies them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flare.policy.spoc.config import Compat
from flare.rng import keyed_uniform

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.4, 0.2, 0.05  # largest change of each factor
BLUR_SIGMA = (0.1, 2.0)  # px
CROP_AREA = (0.9, 1.0)  # share of the image
CROP_RATIO = (3 / 4, 4 / 3)  # of the crop's aspect to the image's
POSTERIZE_BITS, POSTERIZE_P = (7, 6, 5, 4), 0.2
SHARPNESS_P = 0.5
SHARED_CALLS = 500  # calls that one draw serves with compat.shared_augmentation
CENTRAL_CROP = (42 / 384, 299 / 384)  # first column and width, as shares of the width
_CROP_TRIES = 10
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

    def parameters(self) -> Tensor:
        """[M, 15] float32, as flare.kernels.augment_patches takes them."""
        flags = np.stack([self.posterize, self.sharpen], 1)
        numbers = [self.factors, self.sigma[:, None], self.box]
        columns: list[NDArray[Any]] = [self.order, *numbers, flags]
        return torch.from_numpy(np.concatenate(columns, 1, dtype=np.float32))

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
