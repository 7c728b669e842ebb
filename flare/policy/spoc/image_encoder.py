"""Frames to features: normalisation, frozen vision transformer, pooling to a grid of cells."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.kernels.augment_patches import augment_images, augment_patches
from flare.policy.spoc.augmentation import CENTRAL_CROP, Augmentations
from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.vision_transformer import Constants, VisionTransformer

# CLIP's statistics, which the original uses for DINOv2 too; SigLIP maps to [-1, 1].
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Images per pass: keeps activations of a large batch of frames in bounds.
_CHUNK = 64


def central_crop(images: Tensor) -> Tensor:
    """The middle 78 % of the width, stretched to the full width: [M, 3, H, W] uint8, same shape.

    What the original's random crop always falls back to: it asks for 90 % of the area within an
    aspect ratio of 3/4 to 4/3, which a 384 x 224 image cannot give.
    """
    height, width = images.shape[-2:]
    first, size = (round(share * width) for share in CENTRAL_CROP)
    cut = images[..., first : first + size].float()
    stretched = F.interpolate(cut, (height, width), mode="bilinear", antialias=True)
    return stretched.round().clamp(0, 255).to(torch.uint8)


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


@dataclass(frozen=True, slots=True)
class _Kept:
    """Constants, and the weights that they were made of with their versions."""

    sources: list[tuple[Tensor, int]]
    constants: Constants


def _is_same(source: tuple[Tensor, int], weight: Tensor) -> bool:
    kept, version = source
    return (kept.data_ptr(), kept.dtype, version) == (
        weight.data_ptr(), weight.dtype, weight._version
    )  # fmt: skip


class SpocImageEncoder(nn.Module):
    """The frozen encoder that all cameras and both towers share; runs once per frame."""

    mean: Tensor  # [3, 1, 1], of pixels from 0 to 1
    std: Tensor

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.config, self.has_crop = config.image, config.compat.central_crop
        self.vit = VisionTransformer(config.image)
        dino = config.image.family == "dinov2"
        half = (0.5, 0.5, 0.5)
        for name, values in zip(("mean", "std"), (CLIP_MEAN, CLIP_STD) if dino else (half, half),
                                strict=True):  # fmt: skip
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self._kept: _Kept | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of one camera's cells."""
        return self.config.grid

    @torch.no_grad()
    def forward(self, frames: Tensor, draws: Augmentations | None = None) -> Tensor:
        """Encode frames of any number of steps.

        Args:
            frames: [B, C, H, W, 3] uint8.
            draws: augmentations of the B x C images; None leaves them as they are.

        Returns:
            [B, F] of the weights' dtype; camera, cell (row-major), channel.

        Raises:
            ValueError: frames of another shape or dtype than the config says.
        """
        c = self.config
        expected = (c.num_cameras, c.height, c.width, 3)
        if frames.dtype != torch.uint8 or frames.shape[1:] != expected:
            raise ValueError(
                f"frames must be uint8 [B, {', '.join(map(str, expected))}], "
                f"got {frames.dtype} {list(frames.shape)}"
            )
        parts = []
        for patches in self.patches(frames, draws):
            parts.append(self.pooled(patches))
        return torch.cat(parts).reshape(len(frames), c.num_features)

    def patches(self, frames: Tensor, draws: Augmentations | None = None) -> Iterator[Tensor]:
        """Patches [m, patches, numbers] of the images of [B, C, H, W, 3] frames, a pass each."""
        images = frames.flatten(0, 1).to(self.vit.positions.device, non_blocking=True)
        dtype = self.vit.positions.dtype
        for first in range(0, len(images), _CHUNK):
            chosen = slice(first, first + _CHUNK)
            yield self._patches(images[chosen], None if draws is None else draws[chosen], dtype)

    def pooled(self, patches: Tensor) -> Tensor:
        """[m, patches, numbers] to [m, cells, embed]; the same launches for the same m."""
        return self.vit.pool(self.tokens(patches))

    def tokens(self, patches: Tensor) -> Tensor:
        """[m, patches, numbers] to the transformer's tokens."""
        return self.vit(patches, self.constants())  # type: ignore[no-any-return]

    @torch.no_grad()
    def constants(self) -> Constants:
        """What does not depend on the images: made once of these weights, anew when they change."""
        vit = self.vit
        own = [p for p in (vit.patches.weight, vit.patches.bias, vit.positions, vit.class_token)
               if p is not None]  # fmt: skip
        # The tensors are kept, so that nothing else can come to lie where they lay.
        if self._kept is None or not all(map(_is_same, self._kept.sources, own)):
            constants = vit.constants(*self._folded())
            self._kept = _Kept([(p.detach(), p._version) for p in own], constants)
        return self._kept.constants

    def _patches(self, images: Tensor, draws: Augmentations | None, dtype: torch.dtype) -> Tensor:
        """Patches of 0 to 255, cut from the middle (DINOv2) or of resized images (SigLIP)."""
        c = self.config
        params = None if draws is None else draws.parameters()
        if params is None and self.has_crop:
            images = _channels_last(central_crop(images.permute(0, 3, 1, 2)))
        if c.family == "siglip":
            if params is not None:
                images, params = augment_images(images, params), None
            size = tuple(n * c.patch for n in c.patches)
            resized = F.interpolate(
                images.permute(0, 3, 1, 2).float(), size, mode="bicubic", antialias=True
            )
            images = _channels_last(resized.round().clamp(0, 255).to(torch.uint8))
        return augment_patches(images, params, patch=c.patch, grid=c.patches, dtype=dtype)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Patch weights for raw pixels: the patch product of ``(x / 255 - mean) / std``."""
        conv = self.vit.patches
        shift = (conv.weight * (self.mean / self.std)).sum((1, 2, 3))
        assert conv.bias is not None
        return conv.weight / (255.0 * self.std), conv.bias - shift
