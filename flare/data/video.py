"""The videos of trajectories: written for reading pieces, read only where a piece needs it."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from flare.video.conversion import Converter
from flare.video.encoding import CODECS, Encoder

FPS = 5  # of the original's evaluation videos; a step has no duration of its own
_PIECE = 20  # frames from key frame to key frame: a window decodes half as many in vain

# No frames that lean on later ones, so that a piece can be decoded from its key frame on, and
# little look-ahead, as each episode being played holds two encoders.
_OPTIONS = {
    "crf": "18", "preset": "veryfast", "g": str(_PIECE), "bf": "0",
    "x264-params": "cpu-independent=1:scenecut=0:rc-lookahead=10",
}  # fmt: skip

_local = threading.local()


def trajectory_encoder(out: IO[bytes]) -> Encoder:
    """H.264 in MP4, a key frame every 20 pictures."""
    return Encoder(out, CODECS[0], _OPTIONS, fps=FPS)


def read_frames(
    source: Path | IO[bytes],
    indices: Sequence[int],
    count: int,
    *,
    size: tuple[int, int] | None = None,
    stored_size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Some frames of a video, decoded from the key frame before the first of them on.

    Args:
        source: an MP4 file, or one opened for reading.
        indices: ascending, of the frames wanted; at least one.
        count: frames that the video must have.
        size: height and width to scale frames to, px; None: as stored.
        stored_size: height and width that frames must have, px; None: any.

    Returns: [len(indices), H, W, 3] uint8 RGB.
    Raises: ValueError for another number or size of frames, OSError or av.FFmpegError for a video
        that is missing or damaged.
    """
    with av.open(source if not isinstance(source, Path) else str(source)) as container:
        if not container.streams.video:
            raise ValueError("holds no video")
        stream = container.streams.video[0]
        if stream.frames != count:
            raise ValueError(f"has {stream.frames} frames where {count} belong")
        if stored_size not in (None, (stream.height, stream.width)):
            raise ValueError(f"has frames of {stream.height} x {stream.width}, not {stored_size}")
        stream.codec_context.thread_count = 1  # windows are read side by side already
        if indices[0] > 0:
            wanted = _from_key_frame(container, stream, indices, size)
            if wanted is not None:
                return wanted
            container.seek(stream.start_time or 0, stream=stream)
        return _collect(enumerate(container.decode(stream)), indices, size)


def _from_key_frame(
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    indices: Sequence[int],
    size: tuple[int, int] | None,
) -> NDArray[np.uint8] | None:
    """The frames by way of the key frame before them; None if times do not tell their numbers."""
    rate, base, start = stream.average_rate, stream.time_base, stream.start_time or 0
    if not (rate and base):
        return None
    container.seek(start + int(indices[0] / (rate * base)), stream=stream)
    try:
        return _collect(_numbered(container.decode(stream), start, rate * base), indices, size)
    except _UnlikeDurationsError:
        return None


class _UnlikeDurationsError(Exception):
    """Frames do not follow one another at the video's average rate."""


def _numbered(
    frames: Iterable["av.VideoFrame"], start: int, frames_per_tick: Fraction
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Frames with their numbers, from their times."""
    expected: int | None = None
    for frame in frames:
        exact = -1.0 if frame.pts is None else float((frame.pts - start) * frames_per_tick)
        number = round(exact)
        if abs(exact - number) > 0.01 or number < 0 or (expected or number) != number:
            raise _UnlikeDurationsError
        expected = number + 1
        yield number, frame


def _collect(
    numbered: Iterable[tuple[int, "av.VideoFrame"]],
    indices: Sequence[int],
    size: tuple[int, int] | None,
) -> NDArray[np.uint8]:
    out: list[NDArray[np.uint8]] = []
    for number, frame in numbered:
        if number > indices[len(out)]:
            raise _UnlikeDurationsError
        if number == indices[len(out)]:
            out.append(_rgb(frame, size))
            if len(out) == len(indices):
                return np.stack(out)
    raise ValueError(f"ends before frame {indices[len(out)]}")


def _rgb(frame: "av.VideoFrame", size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """[H, W, 3] of a decoded frame, by this thread's converter."""
    if not hasattr(_local, "converter"):
        _local.converter = Converter()
    picture: NDArray[np.uint8] = _local.converter.convert(frame, "rgb24", size).to_ndarray()
    return picture
