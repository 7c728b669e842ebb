"""Frames to features."""

import pytest
import torch

from flare.policy.config import ImageEncoderConfig
from flare.policy.dense_labels import DenseLabelsHead
from flare.policy.image_encoder import ImageEncoder
from tests.policy.policy_cases import TINY

CONFIG = ImageEncoderConfig(
    height=20, width=28, num_cameras=2, channels=(4, 6), first_kernel=6, grid_channels=3
)


def _frames(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 2, 20, 28, 3), dtype=torch.uint8, generator=rng)


def test_folded_scale_equals_scaled_pixels():
    encoder = ImageEncoder(CONFIG)
    frames = _frames(3)
    x = frames.flatten(0, 1).permute(0, 3, 1, 2) / 127.5 - 1.0
    x = torch.relu(torch.nn.functional.conv2d(x, encoder.first.weight, encoder.first.bias, 3))
    for conv in encoder.rest:
        x = torch.relu(conv(x))
    wanted = encoder.project(x).permute(0, 2, 3, 1).reshape(3, -1)
    torch.testing.assert_close(encoder(frames), wanted, rtol=1e-4, atol=1e-5)


def test_chunks_without_gradient_equal_one_call():
    encoder = ImageEncoder(CONFIG)
    frames = _frames(50)  # 100 images: more than a chunk, not a multiple of it
    with torch.no_grad():
        chunked = encoder(frames)
    torch.testing.assert_close(chunked, encoder(frames).detach(), rtol=1e-5, atol=1e-6)


def test_cameras_and_cells_keep_their_place():
    """A change at one camera's lower right corner moves that camera's last cells only."""
    encoder = ImageEncoder(CONFIG)
    frames = _frames(1)
    changed = frames.clone()
    changed[0, 1, -5:, -5:] = 255 - changed[0, 1, -5:, -5:]
    moved = (encoder(frames) - encoder(changed)).view(2, *CONFIG.grid, 3).abs().amax(-1) > 1e-7
    assert not moved[0].any()
    assert not moved[1, 0].any() and not moved[1, :, 0].any()
    assert moved[1, -1, -1]


@pytest.mark.parametrize(
    "frames", [torch.zeros(2, 1, 20, 28, 3, dtype=torch.uint8), torch.zeros(2, 2, 20, 28, 3)]
)
def test_wrong_frames_are_refused(frames):
    with pytest.raises(ValueError, match=r"uint8 \[B, 2, 20, 28, 3\], got"):
        ImageEncoder(CONFIG)(frames)


def test_dense_labels_read_each_cell_alone():
    encoder = ImageEncoder(TINY.image)
    head = DenseLabelsHead(encoder, num_classes=4)
    rows, columns = encoder.grid
    features = torch.randn(2, TINY.image.num_features)
    first = head(features)
    assert first.presence_logits.shape == (2, 4, rows, columns)
    assert first.inverse_depth.shape == (2, rows, columns)
    features.view(2, rows, columns, -1)[1, 0, 2] += 1.0
    second = head(features)
    moved = (first.presence_logits != second.presence_logits).any(1)
    assert moved.nonzero().tolist() == [[1, 0, 2]]


def test_encoder_learns_where_a_spot_is():
    """Bearing must survive: the column of a bright square from the dense labels."""
    torch.manual_seed(0)
    encoder = ImageEncoder(TINY.image)
    head = DenseLabelsHead(encoder, num_classes=1)
    columns = encoder.grid[1]
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
    rng = torch.Generator().manual_seed(0)
    hits = 0.0
    for step in range(120):
        column = torch.randint(0, columns, (32,), generator=rng)
        frames = torch.full((32, 1, 20, 28, 3), 60, dtype=torch.uint8)
        for image, c in enumerate(column):
            left = int(c) * 28 // columns
            frames[image, 0, :, left : left + 28 // columns] = 220
        logits = head(encoder(frames)).presence_logits[:, 0].mean(1)
        loss = torch.nn.functional.cross_entropy(logits, column)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 110:
            hits += (logits.argmax(-1) == column).float().mean().item() / 10
    assert hits > 0.95
