"""Each transform against its formula by hand, or against Pillow and colorsys; the draws."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from flare.kernels import augment_reference as reference
from flare.policy.spoc import augmentation as aug
from flare.policy.spoc.config import Compat
from flare.policy.spoc.image_encoder import central_crop


def noise(count=2, height=24, width=40, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=rng)


def pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def factors(*values):
    return torch.tensor(values)[:, None, None, None]


def pixels(*colours):
    """One image of one row."""
    return torch.tensor(colours, dtype=torch.uint8).t()[None, :, None]


def test_brightness_by_hand():
    got = reference.adjust_brightness(pixels((100, 201, 3), (250, 0, 128)), factors(1.3))
    assert got[0, :, 0].t().tolist() == [[130, 255, 3], [255, 0, 166]]  # cut, not rounded


def test_contrast_by_hand():
    """Lumas int(0.2989 r + 0.587 g + 0.114 b): 29 and 99; their mean is 64."""
    got = reference.adjust_contrast(pixels((100, 0, 0), (99, 100, 100)), factors(0.5))
    assert got[0, :, 0].t().tolist() == [[82, 32, 32], [81, 82, 82]]


def test_saturation_by_hand():
    """Luma of (200, 100, 50) is int(124.18) = 124."""
    got = reference.adjust_saturation(pixels((200, 100, 50)), factors(0.25))
    assert got[0, :, 0, 0].tolist() == [143, 118, 105]


@pytest.mark.parametrize("shift", [-0.05, 0.0, 0.03])
def test_hue_is_colorsys(shift):
    images = noise(1, 8, 8)
    images[0, :, 0, 0] = 77  # a grey
    got = reference.adjust_hue(images, factors(shift))[0].permute(1, 2, 0).reshape(-1, 3).tolist()
    for colour, result in zip(images[0].permute(1, 2, 0).reshape(-1, 3).tolist(), got, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        wanted = colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value)
        assert result == pytest.approx([255 * c for c in wanted], abs=1.0)


def test_blur_is_the_weighted_mean_of_neighbours():
    images, sigma = noise(), torch.tensor([0.4, 1.7])
    got = reference.gaussian_blur(images, sigma)
    for image, blurred, s in zip(images, got, sigma.tolist(), strict=True):
        x, y = (np.exp(-0.5 * (np.arange(-r, r + 1) / s) ** 2) for r in (2, 4))
        kernel = np.outer(y / y.sum(), x / x.sum())
        padded = np.pad(image.numpy().astype(float), ((0, 0), (4, 4), (2, 2)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 5), (1, 2))
        wanted = (windows * kernel).sum((-1, -2))
        assert np.abs(blurred.numpy() - wanted).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("box", [(0, 0, 24, 40), (3, 5, 20, 31), (0, 7, 24, 31)])
def test_crop_is_pillows(box):
    """Rows and columns in px; Pillow rounds after each of its two passes."""
    top, left, height, width = box
    images = noise(1)
    shares = torch.tensor([[top / 24, left / 40, height / 24, width / 40]])
    got = reference.resized_crop(images, shares)[0]
    cut = pillow(images[0]).crop((left, top, left + width, top + height))
    wanted = tensor(cut.resize((40, 24), Image.Resampling.BILINEAR))
    assert (got.int() - wanted.int()).abs().max() <= 1


def test_central_crop_is_columns_42_to_340():
    images = noise(1, 224, 384)
    wanted = tensor(pillow(images[0]).crop((42, 0, 341, 224)).resize((384, 224), 2))
    assert (central_crop(images)[0].int() - wanted.int()).abs().max() <= 1
    boxes = torch.from_numpy(aug._central_boxes(1))
    assert (reference.resized_crop(images, boxes)[0].int() - wanted.int()).abs().max() <= 1


def test_sharpness_is_pillows():
    image = noise(1)[0]
    wanted = tensor(ImageEnhance.Sharpness(pillow(image)).enhance(reference.SHARPNESS)).int()
    got = reference.adjust_sharpness(image[None])[0].int()
    assert (got - wanted).abs()[:, 1:-1, 1:-1].max() <= 1
    assert torch.equal(got[:, 0], image[:, 0].int())  # border pixels stay


def _draws(count=400, compat=None, call=0, episode=None):
    episode = np.zeros(count, np.int64) if episode is None else episode
    return aug.draw_augmentations(
        3, np.arange(count), episode, num_cameras=2, compat=compat or Compat(), call=call
    )


@pytest.mark.parametrize("bits", [4, 5, 6, 7])
def test_posterisation_is_pillows(bits):
    image = noise(1)[0]
    mask = 256 - (1 << (8 - bits))
    assert torch.equal(image & mask, tensor(ImageOps.posterize(pillow(image), bits)))
    assert mask in _draws().posterize


def test_draws_are_in_range_and_spread():
    draws = _draws()
    spread = np.array([0.4, 0.4, 0.2, 0.05])
    offsets = (draws.factors - [1, 1, 1, 0]) / spread
    assert (np.abs(offsets) <= 1 + 1e-6).all() and (np.abs(offsets.mean(0)) < 0.1).all()
    assert draws.sigma.min() >= 0.1 and draws.sigma.max() <= 2.0
    assert 0.4 < draws.sharpen.mean() < 0.6
    assert 0.35 < (draws.posterize == 255).mean() < 0.47  # 0.8 to the fourth: 0.41
    assert len(np.unique(draws.order, axis=0)) == 24
    top, left, height, width = draws.box.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 1 + 1e-6).all() and (left + width <= 1 + 1e-6).all()
    assert (height * width >= 0.9 - 1e-6).all() and (height * width < 1).mean() > 0.5


def test_an_episode_keeps_its_draw_and_the_next_has_its_own():
    first, later = _draws(call=0), _draws(call=700)
    other = _draws(episode=np.ones(400, np.int64))
    assert all(np.array_equal(getattr(first, n), getattr(later, n)) for n in first.__slots__)
    assert (first.sigma != other.sigma).mean() > 0.99
    assert len(np.unique(first.sigma)) > 700  # environments and cameras differ


def test_the_originals_draw_is_shared_for_500_calls():
    compat = Compat(shared_augmentation=True, central_crop=True)
    first, within, after = (_draws(8, compat, call) for call in (0, 499, 500))
    for draws in (first, within, after):
        assert len(np.unique(draws.sigma)) == 2  # one per camera
        assert set(draws.posterize.tolist()) <= {255, 254}
        assert np.allclose(draws.box, [0, 42 / 384, 1, 299 / 384])
    assert np.array_equal(first.factors, within.factors)
    assert not np.array_equal(first.factors, after.factors)


def test_augment_applies_every_image_its_own_draw():
    images = noise(6)
    draws = _draws(3)
    together = reference.augment_reference(images, draws.parameters())
    for i in range(6):
        alone = reference.augment_reference(images[i : i + 1], draws[i : i + 1].parameters())
        assert torch.equal(together[i : i + 1], alone)
    assert together.dtype == torch.uint8 and (together != images).float().mean() > 0.5


def test_augment_follows_the_order_of_the_transforms():
    """One image by hand: jitter in its drawn order, blur, crop, posterisation, sharpness."""
    images, draws = noise(1), _draws(1)[:1]
    parts = (reference.adjust_brightness, reference.adjust_contrast,
             reference.adjust_saturation, reference.adjust_hue)  # fmt: skip
    x = images
    for part in draws.order[0]:
        x = parts[part](x, factors(float(draws.factors[0, part])))
    x = reference.gaussian_blur(x, torch.from_numpy(draws.sigma))
    x = reference.resized_crop(x, torch.from_numpy(draws.box)) & int(draws.posterize[0])
    if draws.sharpen[0]:
        x = reference.adjust_sharpness(x)
    assert torch.equal(reference.augment_reference(images, draws.parameters()), x)
