"""One moment of an episode as a picture: camera images, the plan beside them, words above."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GROUND, _INK, _DIM = (24, 26, 32), (240, 238, 232), (150, 152, 160)
_LINE = 22  # px of a line of words
_MARGIN = 8  # px


def scene_picture(
    images: Sequence[NDArray[np.uint8]], lines: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Images side by side on one ground, aligned at the top, with lines of words above.

    Args:
        images: at least one, [h, w, 3] each.
        lines: words; the first is bright.

    Returns:
        [H, W, 3] uint8, H and W even as video codecs ask.
    """
    head = _LINE * len(lines) + (_MARGIN if lines else 0)
    height = head + max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images)
    canvas = np.full((height + height % 2, width + width % 2, 3), _GROUND, np.uint8)
    left = 0
    for image in images:
        canvas[head : head + image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1]
    return _with_words(canvas, lines) if lines else canvas


def _with_words(canvas: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    picture = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for row, line in enumerate(lines):
        draw.text((_MARGIN, 4 + _LINE * row), line, _INK if row == 0 else _DIM, font=font)
    return np.array(picture)
