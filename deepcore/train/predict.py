"""Classes and probabilities of pictures, from a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepcore import functional as F
from deepcore import models
from deepcore.autograd import no_grad
from deepcore.creation import tensor
from deepcore.data import Normalize
from deepcore.devices import device as use_device
from deepcore.errors import DataError, RunError
from deepcore.nn import Module
from deepcore.train import checkpoint
from deepcore.train.run import RunFolder

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_PIXELS = 100_000_000
LARGEST_OPTION = 100_000  # of a model: classes, channels, pixels of a side


class Prediction(NamedTuple):
    """A picture's probabilities, by class name, the likeliest first."""

    path: Path
    probabilities: list[tuple[str, float]]


class Classifier:
    """The trained model of a run folder, ready for pictures. Raises RunError where the folder holds no whole model."""

    def __init__(self, run: str | Path, device: str = "cpu"):
        folder = RunFolder.open(run)
        if not folder.model.is_file():
            raise RunError(
                f"{folder} holds no {folder.model.name}; its training has not ended. "
                f"Hint: deepcore train --resume {folder}"
            )
        weights, info = checkpoint.load_model(folder.model)
        try:
            self.model = _build(info, weights, device)
            self.classes = tuple(str(name) for name in info["classes"])
            self.size, self.channels = info["options"]["image_size"], info["options"]["in_channels"]
            self.normalize = Normalize(info["mean"], info["std"])
        except (MemoryError, *checkpoint.MALFORMED) as error:
            raise RunError(f"{folder.model} lacks what it takes to use it ({error}).") from error
        self.device = device

    def predict(self, paths: Sequence[str | Path]) -> list[Prediction]:
        """One prediction per picture. Raises DataError that names the file which is no picture."""
        images = np.stack([self._read(path) for path in paths])
        with no_grad():
            logits = self.model(self.normalize(tensor(images, device=self.device)))
            table = F.softmax(logits, dim=1).cpu().numpy()
        return [Prediction(Path(path), self._ranked(row)) for path, row in zip(paths, table, strict=True)]

    def _read(self, path: str | Path) -> np.ndarray:
        """(C, S, S) uint8: in colour where the model was trained on three channels."""
        if self.channels == 3:
            return read_colour_image(path, self.size)
        return np.repeat(read_image(path, self.size)[None], self.channels, axis=0)

    def _ranked(self, row: np.ndarray) -> list[tuple[str, float]]:
        return [(self.classes[i], float(row[i])) for i in np.argsort(-row, kind="stable")]


def _build(info: dict[str, Any], weights: dict[str, np.ndarray], device: str) -> Module:
    for name, value in info["options"].items():
        if type(value) is not int or not 1 <= value <= LARGEST_OPTION:
            raise ValueError(f"{name} is {value!r:.40}")
    with use_device(device):
        model = models.create(info["model"], **info["options"])
    model.load_state_dict(weights)
    return model.eval()


def read_image(path: str | Path, size: int) -> np.ndarray:
    """The picture as the models want it, (size, size) uint8: grey, light strokes on a dark ground.

    Transparent parts count as white paper. A picture with a light border is taken for dark ink on paper and inverted.
    A picture that is not square is padded with its ground, then resized; nothing is cut off.
    Raises DataError that names the file where it cannot be read as a picture.
    """
    return _resized(_pad_square(_dark_ground(_pixels(path, _grey))), size)


def read_colour_image(path: str | Path, size: int) -> np.ndarray:
    """The picture in red, green and blue, (3, size, size) uint8, as it is: nothing is inverted.

    Transparent parts count as white. A picture that is not square is padded with its border's colour, then resized.
    Raises DataError that names the file where it cannot be read as a picture.
    """
    pixels = _pixels(path, _colour)
    return np.stack([_resized(_pad_square(pixels[..., channel]), size) for channel in range(3)])


def _pixels(path: str | Path, convert: Callable[[Image], Image]) -> np.ndarray:
    """The converted picture's pixels, upright. Raises DataError where it cannot be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise DataError(f"{path}: the picture is too large ({image.width} x {image.height} pixels).")
            return np.asarray(convert(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a picture that can be read (PNG, JPEG, ...).") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: the picture cannot be read ({reason}).") from error


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def _grey(image: Image) -> Image:
    return _on_white(image).convert("L")


def _colour(image: Image) -> Image:
    return _on_white(image).convert("RGB")


def _on_white(image: Image) -> Image:
    """The picture with 8 bits a channel, and on white paper where it was transparent."""
    from PIL import Image as images

    if image.mode.startswith("I") or image.mode == "F":
        return images.fromarray(_to_bytes(np.asarray(image, np.float64)))
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        paper = images.new("RGBA", colour.size, "white")
        return images.alpha_composite(paper, colour)
    return image


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Pictures of 16 bits and more scaled to 8; Pillow would cut off everything above 255."""
    top = 65535 if pixels.max(initial=0) > 255 else 255
    return np.clip(pixels * (255 / top), 0, 255).astype(np.uint8)


def _border(pixels: np.ndarray) -> float:
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return float(np.median(np.concatenate(edges)))


def _dark_ground(pixels: np.ndarray) -> np.ndarray:
    return 255 - pixels if _border(pixels) > 127 else pixels


def _pad_square(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    pad = ((top, side - height - top), (left, side - width - left))
    return np.pad(pixels, pad, constant_values=int(_border(pixels)))
