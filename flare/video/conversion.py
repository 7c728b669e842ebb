"""Pictures between RGB and what codecs take, on the calling thread."""

from typing import Any

import av
from av.video.reformatter import VideoReformatter

# Where PyAV converts a picture on a thread per core it can be told not to: starting them costs up
# to a hundred times the conversion of a picture as small as ours.
_ONE_THREAD: dict[str, Any] = (
    {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
)


class Converter:
    """Converts pictures one after the other; keeps its tables between pictures. One thread's."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def convert(
        self, frame: av.VideoFrame, pixel_format: str, size: tuple[int, int] | None = None
    ) -> av.VideoFrame:
        """The picture in another format such as "rgb24", scaled by areas to (height, width)."""
        height, width = size or (frame.height, frame.width)
        return self._reformatter.reformat(
            frame, width, height, pixel_format, interpolation="AREA", **_ONE_THREAD
        )
