"""im2col and col2im as the book has them: image patches as the rows of a matrix, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.errors import ShapeError, got, message
from deepcore.functions.conv.conv2d import Pair, output_length, pair
from deepcore.functions.index.indexing import getitem
from deepcore.functions.pad import pad as pad_image
from deepcore.functions.shape import permute, reshape, squeeze, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "col2im",
    "fold",
    "im2col",
    "unfold",
]


class Im2col(Function):
    """(N, C, H, W) -> (N, C, KH, KW, OH, OW); the padding is a constant, so the gradient does not see it."""

    def __init__(self, geometry: tuple[Any, ...], value: float) -> None:
        self.geometry, self.value = geometry, value

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return self.backend.im2col(x, *self.geometry, self.value)

    def backward(self, gcols: Any) -> Any:
        return Col2im(self.geometry, self.x_shape)(gcols)


class Col2im(Function):
    """(N, C, KH, KW, OH, OW) -> (N, C, H, W), overlapping values added: the transpose of Im2col."""

    def __init__(self, geometry: tuple[Any, ...], x_shape: tuple[int, ...]) -> None:
        self.geometry, self.x_shape = geometry, x_shape

    def forward(self, cols: Any) -> Any:
        return self.backend.col2im(cols, self.x_shape, *self.geometry)

    def backward(self, gx: Any) -> Any:
        return Im2col(self.geometry, 0)(gx)


def _geometry(op: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    return (
        pair(op, "kernel_size", kernel_size, 1),
        pair(op, "stride", stride, 1),
        pair(op, "padding", padding, 0),
        pair(op, "dilation", dilation, 1),
    )


def _places(op: str, shape: tuple[int, ...], geometry: tuple[Any, ...]) -> tuple[int, int]:
    size = tuple(output_length(*args) for args in zip(shape[2:], *geometry, strict=True))
    if min(size) < 1:
        found = f"image {tuple(shape)}, kernel_size={geometry[0]}, padding={geometry[2]}, dilation={geometry[3]}"
        raise ShapeError(message(op, "a kernel that fits into the padded image", found))
    return size  # type: ignore[return-value]


def im2col(
    x: Tensor,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    constant_values: float = 0,
) -> Tensor:
    """Every patch under the kernel as a row: x (N, C, H, W) -> (N * OH * OW, C * KH * KW), the book's layout.

    constant_values: what the padding holds. Raises ShapeError.

    >>> import deepcore as dc
    >>> im2col(dc.arange(4.0).reshape(1, 1, 2, 2), (1, 2))
    tensor([[0., 1.],
            [2., 3.]])
    """
    if len(x.shape) != 4:
        raise ShapeError(message("im2col", "x (N, C, H, W)", got(x=x)))
    geometry = _geometry("im2col", kernel_size, stride, padding, dilation)
    oh, ow = _places("im2col", x.shape, geometry)
    cols = permute(Im2col(geometry, constant_values)(x), (0, 4, 5, 1, 2, 3))
    kh, kw = geometry[0]
    return reshape(cols, (x.shape[0] * oh * ow, x.shape[1] * kh * kw))


def col2im(
    cols: Tensor,
    input_shape: tuple[int, int, int, int],
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    accumulate: bool = True,
) -> Tensor:
    """The rows of im2col put back into images of input_shape (N, C, H, W).

    accumulate: add where patches overlap, as the gradient of im2col needs it. Otherwise the value of the last kernel
    position (in row-major order of KH, KW) stands, so that col2im(im2col(x)) is x wherever a patch lies.
    Raises ShapeError.
    """
    geometry = _geometry("col2im", kernel_size, stride, padding, dilation)
    if len(input_shape) != 4:
        raise ShapeError(message("col2im", "input_shape (N, C, H, W)", f"input_shape={tuple(input_shape)}"))
    n, c, _, _ = input_shape
    kh, kw = geometry[0]
    oh, ow = _places("col2im", input_shape, geometry)
    if cols.shape != (n * oh * ow, c * kh * kw):
        raise ShapeError(message("col2im", f"cols ({n * oh * ow}, {c * kh * kw})", got(cols=cols)))
    blocks = permute(reshape(cols, (n, oh, ow, c, kh, kw)), (0, 3, 4, 5, 1, 2))
    if accumulate:
        return Col2im(geometry, tuple(input_shape))(blocks)
    return _place_last(blocks, tuple(input_shape), geometry)


def _place_last(blocks: Any, input_shape: tuple[int, ...], geometry: tuple[Any, ...]) -> Any:
    """Each pixel takes the value of the last kernel position that covers it."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = geometry
    h, w = input_shape[2:]
    oh, ow = blocks.shape[4:]
    last = [[-1] * (w + 2 * pw) for _ in range(h + 2 * ph)]
    for j in range(kh):
        for i in range(kw):
            for y in range(oh):
                for x in range(ow):
                    last[y * sh + j * dh][x * sw + i * dw] = ((j * kw + i) * oh + y) * ow + x
    places = [last[y + ph][x + pw] for y in range(h) for x in range(w)]
    flat = reshape(blocks, (*input_shape[:2], kh * kw * oh * ow))
    padded = pad_image(flat, (0, 1))  # one zero behind, for pixels that no patch covers
    return reshape(getitem(padded, (slice(None), slice(None), places)), input_shape)


def unfold(x: Tensor, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """Every patch under the kernel as a column: x (N, C, H, W) -> (N, C * KH * KW, OH * OW), PyTorch's layout.

    One image (C, H, W) gives (C * KH * KW, OH * OW). The padding holds zeros. Raises ShapeError.

    >>> import deepcore as dc
    >>> unfold(dc.arange(4.0).reshape(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])
    """
    if len(x.shape) == 3:
        return squeeze(unfold(unsqueeze(x, 0), kernel_size, dilation, padding, stride), 0)
    if len(x.shape) != 4:
        raise ShapeError(message("unfold", "x (N, C, H, W) or (C, H, W)", got(x=x)))
    geometry = _geometry("unfold", kernel_size, stride, padding, dilation)
    oh, ow = _places("unfold", x.shape, geometry)
    kh, kw = geometry[0]
    return reshape(Im2col(geometry, 0)(x), (x.shape[0], x.shape[1] * kh * kw, oh * ow))


def fold(
    x: Tensor, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
) -> Tensor:
    """The columns of unfold added back into images: x (N, C * KH * KW, OH * OW) -> (N, C, *output_size).

    The transpose of unfold: values of patches that overlap add up. x (C * KH * KW, OH * OW) gives one image.
    Raises ShapeError.
    """
    if len(x.shape) == 2:
        return squeeze(fold(unsqueeze(x, 0), output_size, kernel_size, dilation, padding, stride), 0)
    size = pair("fold", "output_size", output_size, 1)
    geometry = _geometry("fold", kernel_size, stride, padding, dilation)
    kh, kw = geometry[0]
    if len(x.shape) != 3 or x.shape[1] % (kh * kw):
        expected = f"x (N, C * {kh * kw}, OH * OW) or (C * {kh * kw}, OH * OW)"
        raise ShapeError(message("fold", expected, got(x=x, kernel_size=geometry[0])))
    n, channels = x.shape[0], x.shape[1] // (kh * kw)
    oh, ow = _places("fold", (n, channels, *size), geometry)
    if x.shape[2] != oh * ow:
        expected = f"x.shape[2] == {oh} * {ow}, the places of the kernel in an image {size}"
        raise ShapeError(message("fold", expected, got(x=x, output_size=size, kernel_size=geometry[0])))
    return Col2im(geometry, (n, channels, *size))(reshape(x, (n, channels, kh, kw, oh, ow)))
