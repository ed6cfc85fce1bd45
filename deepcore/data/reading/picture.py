"""One packed picture as an array; whatever is wrong with it is a DataError."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from deepcore.data.reading.damage import reading
from deepcore.errors import DataError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif")
LARGEST_PIXELS = 64_000_000
"""Of a picture: 8000 x 8000. A few kilobytes of PNG can unpack to gigabytes."""
LARGEST_BYTES = 256 << 20
"""Of a packed picture."""


def decode_picture(
    content: bytes, what: str, mode: str = "RGB", size: tuple[int, int] | None = None, exact: bool = False
) -> np.ndarray:
    """(C, H, W) uint8 of a JPEG, PNG, BMP, WebP or GIF (its first picture); `what` names it in errors.

    mode: "RGB" or "L" (gray), into which it is converted. size: (height, width); a picture of another size is resampled
    bilinearly, or is an error with `exact`.
    """
    from PIL import Image

    with reading(what, "picture", hint=""), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > LARGEST_PIXELS:
            raise DataError(f"{what}: claims {width:,} x {height:,} pixels; {LARGEST_PIXELS:,} at most.")
        if exact and size is not None and (height, width) != size:
            raise DataError(f"{what}: expected a picture of {size[1]}x{size[0]}; got {width}x{height}.")
        found = image if image.mode == mode else _eight_bits(image).convert(mode)
        if size is not None and (height, width) != size:
            found = found.resize(size[::-1], Image.Resampling.BILINEAR)
        pixels = np.asarray(found)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _eight_bits(image: Any) -> Any:
    """A gray picture of 16 bits scaled down to 8, which Pillow would cut off; any other as it is."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
