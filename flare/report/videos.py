"""Episodes as small videos: enlarged frames below a panel with action, value and step.

The panel stands above because players lay their controls over the lower edge.
"""

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from flare.atomic import PathLike
from flare.errors import UserError
from flare.video.encoding import best_codec, encode_bytes

MIN_WIDTH = 420  # px; smaller frames are enlarged by a whole factor, pixel by pixel
PANEL = 116  # px above the frame
FPS = 6
HOLD = 8  # frames that the last picture stays
MAX_BYTES = 400_000  # a video; quality and then frames are given up to stay below
MAX_STEPS = 400  # longer episodes skip steps evenly
_NEEDED = {"frames", "actions", "values", "action_probs", "instruction", "success"}

_INK, _DIM, _GROUND, _BAR = (240, 238, 232), (150, 152, 160), (24, 26, 32), (52, 56, 66)
_ACCENT, _GOOD, _BAD = (255, 152, 56), (74, 190, 120), (232, 92, 84)


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeVideo:
    """What one episode looked like, as saved in ``videos/<name>.npz``."""

    name: str
    frames: NDArray[np.uint8]  # [T, H, W, 3], what the policy saw before each action
    actions: NDArray[np.int64]  # [T] policy action ids
    values: NDArray[np.float32]  # [T] value estimates
    action_probs: NDArray[np.float32]  # [T, A]
    instruction: str
    success: bool
    action_names: tuple[str, ...]  # A names


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedVideo:
    """A video file in memory."""

    data: bytes
    mime: str
    poster: bytes  # JPEG of a picture half-way, shown until the video plays
    width: int  # px
    height: int  # px


def load_video(path: PathLike, action_names: tuple[str, ...]) -> EpisodeVideo:
    """Read ``videos/<name>.npz``; frames of several cameras are put side by side.

    Args:
        path: file with ``frames`` uint8 [T, H, W, 3] or [T, C, H, W, 3], ``actions`` [T],
            ``values`` [T], ``action_probs`` [T, A], ``instruction`` and ``success``, and perhaps
            ``action_names`` [A].
        action_names: names of the actions if the file has none.

    Raises:
        UserError: an array is missing or of another shape.
    """
    content = _arrays(path)
    frames = content["frames"]
    if frames.ndim == 5:
        steps, cameras, height, width, _ = frames.shape
        frames = frames.transpose(0, 2, 1, 3, 4).reshape(steps, height, cameras * width, 3)
    names = content["action_names"].tolist() if "action_names" in content else action_names
    steps, num_actions = content["action_probs"].shape
    if frames.shape[0] != steps or len(content["actions"]) != steps or not steps:
        raise UserError("arrays of different lengths", mend="evaluate again", file=path)
    if len(names) != num_actions:
        names = [f"action {i}" for i in range(num_actions)]
    return EpisodeVideo(
        name=Path(path).stem,
        frames=frames.astype(np.uint8, copy=False),
        actions=content["actions"].astype(np.int64),
        values=content["values"].astype(np.float32),
        action_probs=content["action_probs"].astype(np.float32),
        instruction=str(content["instruction"]),
        success=bool(content["success"]),
        action_names=tuple(str(name) for name in names),
    )


def _arrays(path: PathLike) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise UserError(
            f"not a video's arrays ({error})", mend="evaluate again", file=path
        ) from error
    missing = _NEEDED - content.keys()
    if missing:
        raise UserError(f"lacks {', '.join(sorted(missing))}", mend="evaluate again", file=path)
    return content


def encode_video(video: EpisodeVideo, *, max_bytes: int = MAX_BYTES) -> EncodedVideo:
    """Draw and encode an episode, H.264 where the build of FFmpeg has it, else VP9.

    Raises:
        UserError: no encoder, or even at the lowest quality the video is too large.
    """
    codec = best_codec()
    stride = -(-len(video.frames) // MAX_STEPS)
    pictures = [_picture(video, step) for step in _steps(len(video.frames), stride)]
    height, width, _ = pictures[0].shape
    shown = pictures + [pictures[-1]] * HOLD
    for crf in (24, 30, 36, 42):
        data = encode_bytes(shown, codec, crf=crf, fps=FPS)
        if len(data) <= max_bytes:
            poster = _jpeg(pictures[len(pictures) // 2])
            return EncodedVideo(data=data, mime=codec[2], poster=poster, width=width, height=height)
    raise UserError(
        f"takes {len(data)} bytes as a video, more than {max_bytes}",
        mend="save fewer or smaller frames",
        key=video.name,
    )


def _steps(count: int, stride: int) -> list[int]:
    """Every ``stride``-th step, and the last one always."""
    return sorted({*range(0, count, stride), count - 1})


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _picture(video: EpisodeVideo, step: int) -> NDArray[np.uint8]:
    """Return one picture of the video, uint8 [H', W', 3] with even sides."""
    frame = video.frames[step]
    factor = max(1, -(-MIN_WIDTH // frame.shape[1]))
    large = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = large.shape[0] + large.shape[0] % 2, large.shape[1] + large.shape[1] % 2
    canvas = np.full((PANEL + height, width, 3), _GROUND, np.uint8)
    canvas[PANEL : PANEL + large.shape[0], : large.shape[1]] = large
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    _draw_header(draw, video, step, width)
    middle = width // 2 + 6
    _draw_actions(draw, video, step, (10, 36, middle - 14, PANEL - 6))
    _draw_value(draw, video, step, (middle, 36, width - 10, PANEL - 6))
    if step == len(video.frames) - 1:
        colour = _GOOD if video.success else _BAD
        draw.rectangle((0, PANEL, width - 1, PANEL + height - 1), outline=colour, width=5)
    return np.asarray(image)


def _draw_header(draw: ImageDraw.ImageDraw, video: EpisodeVideo, step: int, width: int) -> None:
    text = textwrap.shorten(video.instruction, 42, placeholder="…")
    draw.text((10, 8), text, _INK, font=_font(15))
    place, colour = f"step {step + 1} / {len(video.frames)}", _DIM
    if step == len(video.frames) - 1:
        place, colour = ("success", _GOOD) if video.success else ("failure", _BAD)
    draw.text((width - 10, 9), place, colour, font=_font(13), anchor="ra")


def _draw_actions(
    draw: ImageDraw.ImageDraw, video: EpisodeVideo, step: int, box: tuple[int, int, int, int]
) -> None:
    """Bars of the probabilities of the most likely actions; the chosen one is lit."""
    left, top, right, _ = box
    probs, chosen = video.action_probs[step], int(video.actions[step])
    ranked = [int(i) for i in np.argsort(-probs, kind="stable")]
    shown = ranked[:5] if chosen in ranked[:5] else [*ranked[:4], chosen]
    bar_left = left + 116
    for row, action in enumerate(shown):
        y = top + 15 * row
        is_chosen = action == chosen
        name = video.action_names[action].replace("_", " ")
        draw.text((left, y), name, _INK if is_chosen else _DIM, font=_font(12))
        draw.rectangle((bar_left, y + 3, right, y + 11), fill=_BAR)
        end = bar_left + round(float(probs[action]) * (right - bar_left))
        draw.rectangle((bar_left, y + 3, end, y + 11), fill=_ACCENT if is_chosen else _DIM)


def _draw_value(
    draw: ImageDraw.ImageDraw, video: EpisodeVideo, step: int, box: tuple[int, int, int, int]
) -> None:
    """Draw the value estimate over the whole episode, with the present marked."""
    left, top, right, bottom = box
    values = video.values
    low, high = min(0.0, float(values.min())), max(1e-6, float(values.max()))
    draw.text((left, top), f"value {values[step]:.2f}", _INK, font=_font(12))
    floor, ceiling = bottom - 4, top + 20

    def point(t: int) -> tuple[float, float]:
        x = left + (right - left - 4) * t / max(1, len(values) - 1)
        return x, floor - (floor - ceiling) * (float(values[t]) - low) / (high - low)

    draw.line([point(t) for t in range(len(values))], fill=_BAR, width=2)
    draw.line([point(t) for t in range(step + 1)], fill=_ACCENT, width=2)
    x, y = point(step)
    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_INK)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
