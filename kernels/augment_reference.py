"""The augmentation of frames in plain PyTorch: what ``augment_patches`` computes, step by step.

Colour jitter (four parts in a drawn order), Gaussian blur, resized crop, posterisation, sharpness,
each on uint8 images [M, 3, H, W]. Formulas and roundings follow torchvision's functions of those
names on uint8 tensors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR_KERNEL = (5, 9)  # px wide, px high
SHARPNESS = 2.0
GRAY = (0.2989, 0.587, 0.114)  # luma's share of red, green and blue
# Columns of an image's parameters: which part of the jitter comes when, the factors of brightness,
# contrast, saturation and hue, the blur's sigma (px), the crop (top, left, height, width, as shares
# of the image), the mask of the bits that stay, whether to sharpen.
ORDER, FACTORS, SIGMA, BOX, POSTERIZE, SHARPEN = slice(4), slice(4, 8), 8, slice(9, 13), 13, 14
NUM_PARAMETERS = 15


def augment_reference(images: Tensor, params: Tensor) -> Tensor:
    """Augment [M, 3, H, W] uint8 by parameters [M, 15] float32 on the CPU; the same shape."""
    images = _jitter(images, params)
    on_device = params.to(images.device)
    images = gaussian_blur(images, on_device[:, SIGMA])
    images = resized_crop(images, on_device[:, BOX])
    images = images & on_device[:, POSTERIZE].to(torch.uint8)[:, None, None, None]
    # Chosen on the CPU, where the parameters are: nothing waits for the device.
    chosen = params[:, SHARPEN].nonzero()[:, 0].to(images.device)
    if len(chosen):
        images[chosen] = adjust_sharpness(images[chosen])
    return images


def _jitter(images: Tensor, params: Tensor) -> Tensor:
    parts = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    images, factors = images.clone(), params[:, FACTORS].to(images.device)
    order = params[:, ORDER]
    for turn in range(4):
        for index, part in enumerate(parts):
            chosen = (order[:, turn] == index).nonzero()[:, 0].to(images.device)
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
    return (GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue).to(torch.uint8)


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


def blur_weights(sigma: Tensor, size: int) -> Tensor:
    """Weights [M, size] of one pass, for sigma [M] px."""
    half = size // 2
    place = torch.arange(-half, half + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (place / sigma[:, None]) ** 2)
    return weights / weights.sum(1, keepdim=True)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur [M, 3, H, W] uint8 with each image's own sigma [M] px; borders are mirrored."""
    x = images.float()
    for size, dim in zip(BLUR_KERNEL, (3, 2), strict=True):
        half = size // 2
        weights = blur_weights(sigma, size)[:, :, None, None, None]
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
