"""Images of an asset: decoding with every check, bounding their size, levels for drawing."""

import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flare.errors import UserError

LARGEST_TEXTURE = 8192  # px of a side; published ones have 1024
_FORMATS = ("JPEG", "PNG")
# What Pillow raises for damaged images of these formats.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
    AttributeError, ZeroDivisionError, struct.error, Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)  # fmt: skip


def read_texture(file: Path) -> NDArray[np.uint8]:
    """Decode an image to [H, W, 3] uint8 sRGB; transparent parts are put on white.

    Raises: UserError naming the file if it is missing, damaged or absurdly large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(file, formats=_FORMATS) as image:
                if max(image.size) > LARGEST_TEXTURE:
                    raise UserError(
                        f"is {image.width} x {image.height} px",
                        file=file,
                        mend=f"scale it to at most {LARGEST_TEXTURE} px",
                    )
                return np.asarray(_flattened(image))
    except FileNotFoundError as error:
        raise UserError("there is no such file", file=file, mend="download it again") from error
    except _DAMAGE as error:
        what = str(error).replace(str(file), "it")[:120] or type(error).__name__
        raise UserError(
            f"is no image that can be read ({what})",
            file=file,
            mend="download the asset again, as JPEG or PNG",
        ) from error


def _flattened(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def bounded_texture(texture: NDArray[np.uint8], largest: int) -> NDArray[np.uint8]:
    """Scale an image to sides that are powers of two, none longer than ``largest``.

    Sides shrink to the next lower power of two by averaging; an image of one colour becomes one
    texel. Returns [H', W', 3] uint8.
    """
    if not (texture != texture[0, 0]).any():
        texel: NDArray[np.uint8] = texture[:1, :1].copy()
        return texel
    height, width = (min(largest, 1 << (side.bit_length() - 1)) for side in texture.shape[:2])
    if (height, width) == texture.shape[:2]:
        return texture
    image = Image.fromarray(texture).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image)


def mip_levels(texture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The image at full size, then halved until one texel is left, by averaging 2 x 2 texels.

    Sides must be powers of two. Averages are of the stored sRGB values and round to nearest.
    """
    levels = [texture]
    while max(levels[-1].shape[:2]) > 1:
        last = levels[-1].astype(np.uint32)
        last = last[0::2] + last[1::2] if last.shape[0] > 1 else 2 * last
        last = last[:, 0::2] + last[:, 1::2] if last.shape[1] > 1 else 2 * last
        levels.append(((last + 2) // 4).astype(np.uint8))
    return levels
