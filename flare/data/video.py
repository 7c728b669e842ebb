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
    sources: Sequence[Path | IO[bytes]],
    indices: Sequence[int],
    count: int,
    *,
    size: tuple[int, int] | None = None,
    stored_size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """The same frames of videos side by side, decoded from the key frame before the first on.

    Each picture is converted straight into its place: memory that is new costs more than a copy.

    Args:
        sources: V MP4 files, or some opened for reading.
        indices: ascending, of the frames wanted; at least one.
        count: frames that each video must have.
        size: height and width to scale frames to, px; None: as stored.
        stored_size: height and width that frames must have, px; None: any.

    Returns: [len(indices), V, H, W, 3] uint8 RGB.
    Raises: ValueError for another number or size of frames, OSError or av.FFmpegError for a video
        that is missing or damaged.
    """
    out: NDArray[np.uint8] | None = None
    for which, source in enumerate(sources):
        with av.open(source if not isinstance(source, Path) else str(source)) as container:
            stream = _checked(container, count, stored_size)
            shape = size or (stream.height, stream.width)
            if out is None:
                out = np.empty((len(indices), len(sources), *shape, 3), np.uint8)
            if shape != out.shape[2:4]:
                raise ValueError(f"has frames of {shape}, those before {out.shape[2:4]}")
            _read(container, stream, indices, out[:, which])
    assert out is not None  # there is a source
    return out


def _checked(
    container: "av.container.InputContainer", count: int, stored_size: tuple[int, int] | None
) -> "av.VideoStream":
    """The video of a file, which has as many frames and is of that size."""
    if not container.streams.video:
        raise ValueError("holds no video")
    stream = container.streams.video[0]
    if stream.frames != count:
        raise ValueError(f"has {stream.frames} frames where {count} belong")
    if stored_size not in (None, (stream.height, stream.width)):
        raise ValueError(f"has frames of {stream.height} x {stream.width}, not {stored_size}")
    stream.codec_context.thread_count = 1  # windows are read side by side already
    return stream


def _read(
    container: "av.container.InputContainer", stream: "av.VideoStream", indices: Sequence[int],
    out: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Fill ``out`` [n, H, W, 3] with the frames of these numbers."""
    if indices[0] > 0:
        if _from_key_frame(container, stream, indices, out):
            return
        container.seek(stream.start_time or 0, stream=stream)
    _collect(enumerate(container.decode(stream)), indices, out)


def _from_key_frame(
    container: "av.container.InputContainer", stream: "av.VideoStream", indices: Sequence[int],
    out: NDArray[np.uint8],
) -> bool:  # fmt: skip
    """By way of the key frame before the first; False if times do not tell frames' numbers."""
    rate, base, start = stream.average_rate, stream.time_base, stream.start_time or 0
    if not (rate and base):
        return False
    container.seek(start + int(indices[0] / (rate * base)), stream=stream)
    try:
        _collect(_numbered(container.decode(stream), start, rate * base), indices, out)
    except _UnlikeDurationsError:
        return False
    return True


class _UnlikeDurationsError(Exception):
    """Frames do not follow one another at the video's average rate."""


def _numbered(
    frames: Iterable["av.VideoFrame"], start: int, frames_per_tick: Fraction
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Frames with their numbers, from their times."""
    expected: int | None = None
    per_tick = float(frames_per_tick)
    for frame in frames:
        exact = -1.0 if frame.pts is None else (frame.pts - start) * per_tick
        number = round(exact)
        if abs(exact - number) > 0.01 or number < 0 or (expected or number) != number:
            raise _UnlikeDurationsError
        expected = number + 1
        yield number, frame


def _collect(
    numbered: Iterable[tuple[int, "av.VideoFrame"]],
    indices: Sequence[int],
    out: NDArray[np.uint8],
) -> None:
    if not hasattr(_local, "converter"):
        _local.converter = Converter()
    found, size = 0, (out.shape[1], out.shape[2])
    for number, frame in numbered:
        if number > indices[found]:
            raise _UnlikeDurationsError
        if number == indices[found]:
            out[found] = _local.converter.convert(frame, "rgb24", size).to_ndarray()
            found += 1
            if found == len(indices):
                return
    raise ValueError(f"ends before frame {indices[found]}")
