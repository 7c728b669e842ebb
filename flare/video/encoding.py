"""Video files from pictures, H.264 or VP9; the same pictures give the same bytes."""

import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from flare.atomic import PathLike, atomic_write
from flare.errors import UserError
from flare.video.conversion import Converter

Picture = NDArray[np.uint8]  # [H, W, 3] with even H and W
Codec = tuple[str, str, str]  # FFmpeg's name, container, MIME type

CODECS: tuple[Codec, ...] = (("libx264", "mp4", "video/mp4"), ("libvpx-vp9", "webm", "video/webm"))


def best_codec() -> Codec:
    """H.264 where the build of FFmpeg has it, else VP9.

    Raises:
        UserError: it has neither.
    """
    for codec in CODECS:
        if codec[0] in av.codecs_available:
            return codec
    raise UserError("FFmpeg has neither H.264 nor VP9", mend="install the av wheel from PyPI")


def encode(
    pictures: Iterable[Picture], out: IO[bytes], codec: Codec, *, crf: int, fps: Fraction | int
) -> None:
    """Encode pictures of one size into an open file.

    Args:
        pictures: at least one, taken one at a time.
        out: opened for writing, seekable.
        codec: one of CODECS.
        crf: quality on H.264's scale, lower is better.
        fps: pictures a second.
    """
    with Encoder(out, codec, _options(codec[0], crf), fps=fps) as encoder:
        for picture in pictures:
            encoder.add(picture)


class Encoder:
    """One video, picture by picture. It holds some pictures back until it is closed."""

    def __init__(
        self, out: IO[bytes], codec: Codec, options: Mapping[str, str], *, fps: Fraction | int
    ) -> None:
        """Begin a video in an open, seekable file; ``options`` are FFmpeg's of the codec."""
        self._name, container, _ = codec
        self._output = av.open(out, "w", format=container)
        self._options, self._fps = dict(options), fps
        self._converter = Converter()
        self._stream: av.VideoStream | None = None

    def add(self, picture: Picture) -> None:
        """Append a picture of the first one's size."""
        if self._stream is None:
            added = self._output.add_stream(self._name, rate=self._fps, options=self._options)
            assert isinstance(added, av.VideoStream)
            self._stream = added
            added.height, added.width = picture.shape[:2]
            added.pix_fmt = "yuv420p"
            added.codec_context.thread_count = 1  # the same bytes on every machine
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._output.mux(self._stream.encode(self._converter.convert(frame, "yuv420p")))

    def close(self) -> None:
        """Write what was held back and the file's index."""
        if self._stream is not None:
            self._output.mux(self._stream.encode())
        self._output.close()

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self._output.close()


def encode_bytes(pictures: Sequence[Picture], codec: Codec, *, crf: int, fps: int) -> bytes:
    """The same as ``encode``, in memory."""
    buffer = io.BytesIO()
    encode(pictures, buffer, codec, crf=crf, fps=fps)
    return buffer.getvalue()


def codec_for(path: PathLike) -> Codec:
    """The codec that a file's ending asks for.

    Raises:
        UserError: another ending than .mp4 or .webm, or FFmpeg lacks that codec.
    """
    ending = Path(path).suffix.removeprefix(".").lower()
    for codec in CODECS:
        if codec[1] == ending:
            if codec[0] not in av.codecs_available:
                raise UserError(
                    f"FFmpeg here has no {codec[0]}",
                    file=path,
                    mend="use the other ending",
                )
            return codec
    raise UserError("names no video file", file=path, mend="end it in .mp4 or .webm")


def write_video(path: PathLike, pictures: Iterable[Picture], *, fps: int, crf: int = 22) -> None:
    """Write pictures as a video file, whole or not at all.

    Raises:
        UserError: as codec_for, or the file cannot be written.
    """
    codec = codec_for(path)
    with atomic_write(path) as file:
        encode(pictures, file, codec, crf=crf, fps=fps)


def _options(codec: str, crf: int) -> dict[str, str]:
    if codec == "libx264":
        # Without this x264's result varies from run to run where a side is no multiple of 16.
        same_bytes = {"x264-params": "cpu-independent=1"}
        return {"crf": str(crf), "preset": "fast", "tune": "animation", "g": "60", **same_bytes}
    return {"crf": str(crf + 8), "b": "0", "g": "60"}
