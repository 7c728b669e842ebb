import av
import numpy as np
import pytest

from flare.errors import UserError
from flare.video.encoding import best_codec, encode_bytes, write_video
from flare.video.scene import scene_picture


def moving_square(count, height, width):
    pictures = np.zeros((count, height, width, 3), np.uint8)
    for i in range(count):
        pictures[i, 4:12, 2 * i : 2 * i + 8] = (250, 40, 40)
    return list(pictures)


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_a_video_file_holds_the_pictures(tmp_path, ending):
    pictures = moving_square(6, 34, 50)
    write_video(tmp_path / f"square.{ending}", iter(pictures), fps=6)
    with av.open(str(tmp_path / f"square.{ending}")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 6
    for before, after in zip(pictures, decoded, strict=True):
        red = after[..., 0].astype(int) - after[..., 2]
        centre = np.argwhere(red > 90).mean(0)
        np.testing.assert_allclose(centre, np.argwhere(before[..., 0] > 0).mean(0), atol=1.0)
    assert [path.name for path in tmp_path.iterdir()] == [f"square.{ending}"]


def test_the_same_pictures_give_the_same_bytes():
    pictures = moving_square(5, 34, 50)
    first, second = (encode_bytes(pictures, best_codec(), crf=24, fps=6) for _ in range(2))
    assert first == second


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"end it in \.mp4 or \.webm"):
        write_video(tmp_path / "square.avi", moving_square(1, 16, 16), fps=6)


def test_scene_has_even_sides_and_keeps_its_images():
    a, b = np.full((9, 7, 3), 200, np.uint8), np.full((5, 4, 3), 90, np.uint8)
    picture = scene_picture([a, b])
    assert picture.shape == (10, 12, 3)
    np.testing.assert_array_equal(picture[:9, :7], a)
    np.testing.assert_array_equal(picture[:5, 7:11], b)
    worded = scene_picture([a, b], ["find a sofa", "step 1"])
    assert worded.shape[0] > picture.shape[0] and worded.shape[0] % 2 == 0
    np.testing.assert_array_equal(worded[-10:-1, :7], a)
    assert worded[:20].max() > 200  # the words
