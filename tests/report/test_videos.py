"""Videos: what is encoded can be decoded, fits, and says what happened."""

import io

import av
import numpy as np
import pytest

from flare.errors import UserError
from flare.report.videos import HOLD, PANEL, encode_video, load_video
from tests.report.synthetic_run import ACTIONS, write_video


def _decoded(data):
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_video_shows_the_enlarged_frames_below_a_panel(tmp_path):
    write_video(tmp_path / "a.npz", 0, steps=10)
    video = load_video(tmp_path / "a.npz", ())
    assert video.frames.shape == (10, 48, 84, 3) and video.action_names == ACTIONS
    encoded = encode_video(video)
    assert (encoded.width, encoded.height) == (420, 240 + PANEL)
    pictures = _decoded(encoded.data)
    assert len(pictures) == 10 + HOLD
    # A pixel of the frame becomes a block of 5 × 5; lossy, so look at block centres.
    blocks = pictures[3][PANEL + 2 :: 5, 2::5].astype(int)
    assert np.abs(blocks - video.frames[3]).mean() < 6
    assert len(encoded.data) < 400_000 and encoded.poster.startswith(b"\xff\xd8")


def test_the_same_episode_is_the_same_bytes(tmp_path):
    """x264 once gave other bytes from time to time: 420 px is no multiple of 16."""
    write_video(tmp_path / "a.npz", 0, steps=10)
    video = load_video(tmp_path / "a.npz", ())
    assert len({encode_video(video).data for _ in range(12)}) == 1


def test_last_picture_is_framed_by_the_outcome(tmp_path):
    colours = {}
    for seed in (0, 1):  # success, failure
        write_video(tmp_path / f"{seed}.npz", seed, steps=4)
        picture = _decoded(encode_video(load_video(tmp_path / f"{seed}.npz", ())).data)[-1]
        colours[seed] = picture[PANEL + 2, 200].astype(int)
    assert colours[0][1] > colours[0][0] and colours[1][0] > colours[1][1]


def test_long_episodes_skip_steps_but_never_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr("flare.report.videos.MAX_STEPS", 4)
    write_video(tmp_path / "long.npz", 0, steps=11)
    # Every third step (0, 3, 6, 9) and the last (10).
    assert len(_decoded(encode_video(load_video(tmp_path / "long.npz", ())).data)) == 5 + HOLD


def test_quality_is_given_up_for_size(tmp_path):
    rng = np.random.default_rng(0)
    np.savez_compressed(
        tmp_path / "noise.npz", frames=rng.integers(0, 256, (3, 24, 42, 3), dtype=np.uint8),
        actions=[0, 1, 2], values=np.zeros(3), instruction="x", success=False,
        action_probs=np.full((3, 7), 1 / 7, np.float32),
    )  # fmt: skip
    video = load_video(tmp_path / "noise.npz", ACTIONS)
    best = len(encode_video(video).data)
    assert len(encode_video(video, max_bytes=best * 3 // 4).data) <= best * 3 // 4


def test_video_that_cannot_be_small_is_a_user_error(tmp_path):
    write_video(tmp_path / "a.npz", 0, steps=4)
    with pytest.raises(UserError, match="more than 100"):
        encode_video(load_video(tmp_path / "a.npz", ()), max_bytes=100)


def test_cameras_stand_side_by_side(tmp_path):
    frames = np.zeros((3, 2, 48, 84, 3), np.uint8)
    frames[:, 1] = 200
    np.savez(
        tmp_path / "two.npz", frames=frames, actions=[0, 1, 2], values=[0.0, 1.0, 2.0],
        action_probs=np.full((3, 4), 0.25), instruction="x", success=True,
    )  # fmt: skip
    video = load_video(tmp_path / "two.npz", ACTIONS)
    assert video.frames.shape == (3, 48, 168, 3)
    assert (video.frames[:, :, :84] == 0).all() and (video.frames[:, :, 84:] == 200).all()
    assert video.action_names == ("action 0", "action 1", "action 2", "action 3")


def test_missing_arrays_are_named(tmp_path):
    np.savez(tmp_path / "bad.npz", frames=np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(UserError, match="lacks action_probs, actions, instruction"):
        load_video(tmp_path / "bad.npz", ())
    (tmp_path / "no.npz").write_bytes(b"not a zip file")
    with pytest.raises(UserError, match="not a video's arrays"):
        load_video(tmp_path / "no.npz", ())
