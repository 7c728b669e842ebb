from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flare.assets.textures import bounded_texture, mip_levels, read_texture
from flare.errors import UserError


def test_bounding_keeps_the_mean_and_makes_powers_of_two() -> None:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (300, 70, 3)).astype(np.uint8)
    small = bounded_texture(texture, 128)
    assert small.shape == (128, 64, 3)
    np.testing.assert_allclose(small.mean(axis=(0, 1)), texture.mean(axis=(0, 1)), atol=1.0)
    same = bounded_texture(texture[:256, :64], 256)
    np.testing.assert_array_equal(same, texture[:256, :64])
    one = bounded_texture(np.full((1024, 1024, 3), 77, np.uint8), 256)
    np.testing.assert_array_equal(one, [[[77, 77, 77]]])


def test_mips_by_hand_and_their_means() -> None:
    texture = np.zeros((2, 4, 3), np.uint8)
    texture[:, :2] = 100
    texture[1, 3] = 10
    levels = mip_levels(texture)
    assert [level.shape[:2] for level in levels] == [(2, 4), (1, 2), (1, 1)]
    np.testing.assert_array_equal(levels[1][0, :, 0], [100, 3])  # 10 / 4 rounds to 3
    np.testing.assert_array_equal(levels[2][0, 0], [52] * 3)  # 51.5
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (64, 256, 3)).astype(np.uint8)
    for level in mip_levels(noise):
        np.testing.assert_allclose(level.mean(axis=(0, 1)), noise.mean(axis=(0, 1)), atol=1.5)


def test_modes_and_transparency(tmp_path: Path) -> None:
    file = tmp_path / "albedo.png"
    Image.new("L", (3, 2), 40).save(file)
    np.testing.assert_array_equal(read_texture(file), np.full((2, 3, 3), 40))
    Image.new("RGBA", (2, 2), (200, 0, 0, 0)).save(file)
    np.testing.assert_array_equal(read_texture(file), np.full((2, 2, 3), 255))
    Image.new("P", (2, 2)).save(file)
    assert read_texture(file).shape == (2, 2, 3)


def test_what_is_no_texture_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jpg: there is no such file"):
        read_texture(tmp_path / "none.jpg")
    file = tmp_path / "albedo.jpg"
    for data in (b"", b"GIF89a", b"\xff\xd8\xff\xe0 cut"):
        file.write_bytes(data)
        with pytest.raises(UserError, match=r"albedo\.jpg: is no image that can be read"):
            read_texture(file)
    Image.new("L", (8193, 1)).save(file)
    with pytest.raises(UserError, match="is 8193 x 1 px"):
        read_texture(file)
    Image.new("1", (16384, 16384)).save(tmp_path / "large.png")  # small file, 268 million pixels
    with pytest.raises(UserError, match=r"large\.png"):
        read_texture(tmp_path / "large.png")
