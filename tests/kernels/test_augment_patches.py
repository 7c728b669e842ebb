"""The fused augmentation against its steps in PyTorch."""

import pytest
import torch

from flare.kernels._launch import use_backend
from flare.kernels.augment_patches import augment_images, augment_patches, patches_reference
from flare.kernels.augment_reference import augment_reference
from tests.kernels.checks import DEVICE, ON_GPU, poisoned


def parameters(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    params = torch.rand(count, 15, generator=rng)
    params[:, :4] = torch.stack([torch.randperm(4, generator=rng) for _ in range(count)]).float()
    spread, middle = torch.tensor([0.4, 0.4, 0.2, 0.05]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    params[:, 4:8] = middle + spread * (2 * params[:, 4:8] - 1)
    params[:, 8] = 0.1 + 1.9 * params[:, 8]
    params[:, 9:13] = torch.tensor([0.03, 0.05, 0.9, 0.93])
    params[:, 13] = torch.tensor([255.0, 240.0, 254.0])[torch.arange(count) % 3]
    params[:, 14] = (torch.arange(count) % 2).float()
    return params


def images(count, height, width):
    rng = torch.Generator().manual_seed(5)
    x = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=rng)
    x[0, : height // 3] = 77  # grey, where blending must not move a pixel
    return x


def assert_same_pixels(got, want):
    """Equal, but for pixels whose exact value lies between two whole numbers."""
    assert got.shape == want.shape
    apart = (got.double().cpu() - want.double().cpu()).abs()
    assert (apart > 0).double().mean() < 2e-3
    assert (apart > 2).double().mean() < 1e-4  # sharpening and posterising may widen a step of one


def test_patches_are_those_of_the_augmented_images():
    count, height, width = (9, 224, 384) if ON_GPU else (2, 17, 31)
    patch, grid = (14, (16, 27)) if ON_GPU else (7, (2, 4))
    frames, params = images(count, height, width), parameters(count)
    wanted = patches_reference(frames, params, patch=patch, grid=grid, dtype=torch.float32)
    for dtype in (torch.float32, torch.bfloat16) if ON_GPU else (torch.float32,):
        with use_backend("triton"), poisoned():
            got = augment_patches(frames.to(DEVICE), params, patch=patch, grid=grid, dtype=dtype)
        assert got.dtype == dtype
        assert_same_pixels(got, wanted)


def test_images_are_the_references():
    count, height, width = (9, 224, 384) if ON_GPU else (1, 11, 16)
    frames, params = images(count, height, width), parameters(count, seed=1)
    wanted = augment_reference(frames.permute(0, 3, 1, 2), params).permute(0, 2, 3, 1)
    with use_backend("triton"), poisoned():
        got = augment_images(frames.to(DEVICE), params)
    assert_same_pixels(got, wanted)


def test_patches_without_augmentation_are_cut_from_the_middle():
    """A 3 x 5 image in 2 x 2 patches: row 0, columns 0 to 3 stay."""
    frame = torch.arange(45, dtype=torch.uint8).view(1, 3, 5, 3)
    got = augment_patches(frame, None, patch=2, grid=(1, 2), dtype=torch.float32)
    red = [[0, 3, 15, 18], [6, 9, 21, 24]]
    assert got[0, :, :4].tolist() == red
    assert got[0, :, 4:8].tolist() == [[x + 1 for x in row] for row in red]


def test_augment_patches_names_what_it_got():
    frames = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"uint8 \[M, H, W, 3\], got torch.float32"):
        augment_images(frames.float(), torch.zeros(2, 15))
    with pytest.raises(ValueError, match=r"params must be \[2, 15\], got \[1, 15\]"):
        augment_images(frames, torch.zeros(1, 15))
    with pytest.raises(ValueError, match="1 x 3 patches of 4 px do not fit 8 x 8 px"):
        augment_patches(frames, None, patch=4, grid=(1, 3))
