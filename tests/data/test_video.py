"""Videos of trajectories: faithful at the published size, and read in pieces."""

import io
import json
from fractions import Fraction

import av
import numpy as np
import pytest

from flare.data.video import read_frames, trajectory_encoder
from flare.houses.generator import GeneratorConfig, generate_house
from flare.specs import CameraSpec
from flare.video.encoding import CODECS, Encoder
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, load_house


def encoded(pictures, options=None, fps=5):
    file = io.BytesIO()
    encoder = trajectory_encoder(file)
    if options is not None:
        encoder = Encoder(file, CODECS[0], options, fps=fps)
    for picture in pictures:
        encoder.add(np.ascontiguousarray(picture))
    encoder.close()
    return file.getvalue()


def numbered(count, width=112, height=56):
    """Pictures that tell their number: seven stripes, black or white."""
    bits = (np.arange(count)[:, None] >> np.arange(7)) & 1
    stripes = (bits * 255).astype(np.uint8).repeat(width // 7, axis=1)
    return list(np.broadcast_to(stripes[:, None, :, None], (count, height, width, 3)))


def numbers(frames):
    stripes = frames.mean(axis=(1, 3)).reshape(len(frames), 7, -1).mean(axis=2) > 127
    return (stripes << np.arange(7)).sum(axis=1).tolist()


CASES = {"ours": None, "one key frame": {"g": "250"}, "b-frames": {"g": "12", "bf": "3"}}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@pytest.mark.parametrize("wanted", [[0], [73], range(40, 60), [3, 4, 9, 90, 91], range(95)])
def test_pieces_are_the_frames_asked_for(options, wanted):
    video = encoded(numbered(95), options)
    assert numbers(read_frames([io.BytesIO(video)], wanted, 95)[:, 0]) == list(wanted)


def test_a_piece_is_the_same_as_in_the_whole():
    rng = np.random.default_rng(0)
    big = rng.integers(0, 255, (8, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    video = encoded([big[:, 2 * i : 2 * i + 96].copy() for i in range(60)])
    whole = read_frames([io.BytesIO(video)], range(60), 60)[:, 0]
    piece = read_frames([io.BytesIO(video)], range(33, 50), 60)[:, 0]
    np.testing.assert_array_equal(piece, whole[33:50])
    with av.open(io.BytesIO(video)) as container:
        plain = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    np.testing.assert_array_equal(whole, plain)


def test_frames_of_unlike_duration_are_counted():
    """Their time does not tell their number."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=5, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 112, 56, "yuv420p"
        for i, picture in enumerate(numbered(40)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = i * i, Fraction(1, 5)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert numbers(read_frames([io.BytesIO(file.getvalue())], range(25, 30), 40)[:, 0]) == [
        25, 26, 27, 28, 29,
    ]  # fmt: skip


def test_wrong_counts_and_broken_files_are_refused(tmp_path):
    video = encoded(numbered(30))
    with pytest.raises(ValueError, match="has 30 frames where 31 belong"):
        read_frames([io.BytesIO(video)], [0], 31)[:, 0]
    (tmp_path / "half.mp4").write_bytes(video[: len(video) // 2])
    with pytest.raises((OSError, ValueError, av.FFmpegError)):
        read_frames([tmp_path / "half.mp4"], [29], 30)
    with pytest.raises((OSError, av.FFmpegError)):
        read_frames([tmp_path / "none.mp4"], [0], 30)


def test_camera_pictures_of_the_published_size_keep_their_looks():
    house = load_house(json.dumps(generate_house(0, "train", 0, GeneratorConfig())), "house")
    worlds = EmbeddedWorlds([house], num_envs=1, camera=CameraSpec())
    specs = np.zeros(1, EPISODE_DTYPE)
    specs["x"], specs["z"], specs["targets"] = *house.reachable()[50], -1
    frames = np.zeros((1, *worlds.camera.frame_shape), np.uint8)
    facts = np.zeros(1, worlds.facts_dtype)
    worlds.reset(np.zeros(1, np.int32), specs, frames, facts)
    pictures = []
    for _ in range(24):
        pictures.append(frames[0, 0].copy())
        worlds.step(np.array([1]), frames, facts)
    video = read_frames([io.BytesIO(encoded(pictures))], range(24), 24)[:, 0]
    error = ((video.astype(float) - np.stack(pictures)) ** 2).mean(axis=(1, 2, 3))
    assert 10 * np.log10(255**2 / error.max()) > 34.0  # dB, the worst frame
