"""Covers: what may be uploaded, and the picture that goes into a recording.

An image of 10 KB can unpack to 400 MB, so its measures are read and judged before anything is decoded.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from rolltape.domain.errors import InputError
from rolltape.domain.units import Bytes

if TYPE_CHECKING:
    from PIL import Image

LARGEST_UPLOAD = Bytes(10 * 1024 * 1024)
MOST_PIXELS = 25_000_000  # 100 MB once decoded
LONGEST_SIDE = 600  # pixels of the cover inside a recording; a smaller one is not enlarged
JPEG_QUALITY = 88

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

_FIELD = "file"


def check_artwork(original: bytes) -> str:
    """The suffix for a file of this kind: `.jpg`, `.png` or `.webp`. What passes here can be made a cover later.

    Raises:
        InputError: it is no image of these kinds, too large, animated or damaged.
    """
    with _opened(original) as image:
        suffix = SUFFIXES[str(image.format)]
        image.load()
    cover_jpeg(original)
    return suffix


def cover_jpeg(original: bytes) -> bytes:
    """The picture as a baseline JPEG of at most 600 pixels, upright, on white, with nothing but the picture in it.

    Raises:
        InputError: it is no image of the kinds above, too large, animated or damaged.
    """
    from PIL import Image, ImageOps  # not before it is needed, see `load`

    with _opened(original) as image:
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a large JPEG is decoded at a fraction of its size
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        made = BytesIO()
        cover = _on_white(upright)
        cover.info.clear()  # Pillow would write EXIF, colour profile and comment again
        cover.save(made, "JPEG", quality=JPEG_QUALITY, progressive=False, optimize=True)
    return made.getvalue()


@contextmanager
def _opened(original: bytes) -> Iterator["Image.Image"]:
    """The image, its measures judged but nothing decoded. What goes wrong in the block is told in a sentence."""
    from PIL import Image, UnidentifiedImageError

    if len(original) > LARGEST_UPLOAD:
        raise InputError(_FIELD, f"The image is larger than {LARGEST_UPLOAD // 1024 // 1024} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, far higher, limit
            with Image.open(BytesIO(original), formats=tuple(SUFFIXES)) as image:
                _check_measures(image)
                yield image
    except InputError:
        raise
    except UnidentifiedImageError as exc:
        raise InputError(_FIELD, "This is not a JPEG, PNG or WebP image.") from exc
    except Image.DecompressionBombError as exc:
        raise InputError(_FIELD, _too_many_pixels()) from exc
    except Exception as exc:  # Pillow's decoders raise whatever comes to hand on damaged data
        raise InputError(_FIELD, "The image is damaged: it cannot be read to its end.") from exc


def _check_measures(image: "Image.Image") -> None:
    if image.width * image.height > MOST_PIXELS:
        raise InputError(_FIELD, _too_many_pixels())
    if getattr(image, "is_animated", False):
        raise InputError(_FIELD, "The image is animated; a cover stands still.")


def _too_many_pixels() -> str:
    return f"The image has more than {MOST_PIXELS // 1_000_000} million pixels."


def _on_white(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
