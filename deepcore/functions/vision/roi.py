"""Pooling of regions of interest: RoI pooling (Girshick 2015) and RoI align (He et al. 2017), as in torchvision.ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.errors import ConfigError, IndexRangeError, ShapeError, got, message
from deepcore.functions.conv.conv2d import Pair, pair
from deepcore.functions.index.places import AddAtPlaces
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.shape import cat

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "roi_align",
    "roi_pool",
]


class RoiPool(Function):
    intermediates = ("places",)

    def __init__(self, output_size: tuple[int, int], spatial_scale: float) -> None:
        self.options = (output_size, spatial_scale)

    def forward(self, x: Any, boxes: Any) -> Any:
        self.x_shape = x.shape
        y, self.places = self.backend.roi_pool(x, boxes, *self.options)
        return y

    def backward(self, gy: Any) -> Any:
        return AddAtPlaces(self.places, self.x_shape)(gy), None


class RoiAlign(Function):
    """Linear in x; options are (output_size, spatial_scale, sampling_ratio, aligned)."""

    def __init__(self, options: tuple[Any, ...]) -> None:
        self.options = options

    def forward(self, x: Any, boxes: Any) -> Any:
        self.x_shape = x.shape
        self.saved = (boxes,)
        return self.backend.roi_align(x, boxes, *self.options)

    def backward(self, gy: Any) -> Any:
        (boxes,) = self.saved
        return RoiAlignGrad(self.options, self.x_shape)(gy, boxes), None


class RoiAlignGrad(Function):
    """The transpose of RoiAlign; linear in gy."""

    def __init__(self, options: tuple[Any, ...], x_shape: tuple[int, ...]) -> None:
        self.options, self.x_shape = options, x_shape

    def forward(self, gy: Any, boxes: Any) -> Any:
        self.saved = (boxes,)
        return self.backend.roi_align_grad(gy, boxes, self.x_shape, *self.options)

    def backward(self, ggx: Any) -> Any:
        (boxes,) = self.saved
        return RoiAlign(self.options)(ggx, boxes), None


def _boxes(op: str, x: Any, boxes: Any) -> Any:
    """The boxes as one (K, 5) tensor without gradient; raises ShapeError, DTypeError and IndexRangeError."""
    if len(x.shape) != 4 or 0 in x.shape[2:]:
        raise ShapeError(message(op, "input (N, C, H, W) with at least one pixel", got(input=x)))
    if isinstance(boxes, list | tuple):
        named = {f"boxes[{i}]": b for i, b in enumerate(boxes)}
        if len(boxes) != x.shape[0] or any(len(b.shape) != 2 or b.shape[1] != 4 for b in boxes):
            raise ShapeError(message(op, "boxes (L, 4), a tensor for each image", got(input=x, **named)))
        same_dtype(op, input=x, **named)
        if not boxes:
            return wrap(x.backend.xp.zeros((0, 5), dtype=x.dtype), x.backend)
        rows = [
            cat([wrap(b.backend.xp.full((b.shape[0], 1), i, dtype=b.dtype), b.backend), b.detach()], 1)
            for i, b in enumerate(boxes)
        ]
        return cat(rows, 0)
    if len(boxes.shape) != 2 or boxes.shape[1] != 5:
        hint = "a row is (image, x1, y1, x2, y2); or pass a list with boxes (L, 4) for each image"
        raise ShapeError(message(op, "boxes (K, 5)", got(input=x, boxes=boxes), hint))
    same_dtype(op, input=x, boxes=boxes)
    if boxes.backend.on_host and boxes.shape[0]:
        images = boxes.array[:, 0]
        if not bool(((images >= 0) & (images < x.shape[0])).all()):
            raise IndexRangeError(message(op, f"images 0..{x.shape[0] - 1} in boxes[:, 0]", got(input=x, boxes=boxes)))
    return boxes.detach()


@cast_as_one
def roi_pool(input: Tensor, boxes: Tensor | Sequence[Tensor], output_size: Pair, spatial_scale: float = 1.0) -> Tensor:
    """The maximum of each bin of each box: input (N, C, H, W), K boxes -> (K, C, OH, OW).

    boxes: (K, 5) with rows (image, x1, y1, x2, y2), or for each image a tensor (L, 4) with rows (x1, y1, x2, y2), in
    the input's dtype; times spatial_scale they are pixels, rounded, both corners included. A bin without pixels is 0.
    The gradient goes to the first maximum; boxes have none. Differs from torchvision in that NaN beats all.
    Raises ShapeError, DTypeError, and on host devices IndexRangeError for an image outside 0..N-1 (elsewhere, where
    looking would wait for the device, that box is NaN).

    >>> import deepcore as dc
    >>> x = dc.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_pool(x, [dc.tensor([[0.0, 0.0, 3.0, 2.0]])], (1, 2))
    tensor([[[[ 9., 11.]]]])
    """
    op = "roi_pool"
    size = pair(op, "output_size", output_size, 1)
    return RoiPool(size, float(spatial_scale))(input, _boxes(op, input, boxes))


@cast_as_one
def roi_align(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """The mean of bilinear samples in each bin of each box, without rounding: input (N, C, H, W) -> (K, C, OH, OW).

    boxes: (K, 5) with rows (image, x1, y1, x2, y2), or for each image a tensor (L, 4) with rows (x1, y1, x2, y2), in
    the input's dtype; times spatial_scale they are pixels. A bin has sampling_ratio x sampling_ratio samples, or if
    that is not positive one for each pixel begun. aligned: pixel centres lie at halves, which is right; otherwise
    boxes are at least one pixel wide, as in the first versions. A sample over a pixel outside of the image is 0.
    Boxes have no gradient. Some devices compute a sample as a product with zeros at all other pixels of its image: a
    pixel that is infinite or NaN may make all boxes of its image NaN.
    Raises ShapeError, DTypeError, ConfigError, and on host devices IndexRangeError for an image outside 0..N-1
    (elsewhere, where looking would wait for the device, that box is NaN).

    >>> import deepcore as dc
    >>> x = dc.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(x, [dc.tensor([[0.0, 0.0, 2.0, 2.0]])], 1, aligned=True)
    tensor([[[[2.5]]]])
    """
    op = "roi_align"
    size = pair(op, "output_size", output_size, 1)
    if not isinstance(sampling_ratio, int):
        raise ConfigError(message(op, "sampling_ratio as an int", f"sampling_ratio={sampling_ratio!r}"))
    options = (size, float(spatial_scale), sampling_ratio, bool(aligned))
    return RoiAlign(options)(input, _boxes(op, input, boxes))
