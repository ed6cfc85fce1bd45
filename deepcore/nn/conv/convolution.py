"""Convolution and transposed convolution of sequences, images and volumes."""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.linear import init_weight_and_bias
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


Sizes = tuple[int, ...]


class _ConvNd(Module):
    """What all convolutions share: the sizes, the checks, the parameters, the printed line."""

    axes = 2
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any, groups: int
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.in_channels = args.integer(owner, "in_channels", in_channels)
        self.out_channels = args.integer(owner, "out_channels", out_channels)
        self.kernel_size = args.numbers(owner, "kernel_size", kernel_size, self.axes)
        self.stride = args.numbers(owner, "stride", stride, self.axes)
        self.dilation = args.numbers(owner, "dilation", dilation, self.axes)
        self.groups = args.integer(owner, "groups", groups)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ConfigError(
                f"{owner}: expected in_channels and out_channels to be multiples of groups; "
                f"got in_channels={in_channels}, out_channels={out_channels}, groups={groups}"
            )

    def _make_parameters(self, weight_shape: tuple[int, ...], bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(creation.empty(weight_shape, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(creation.empty((self.out_channels,), dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform in +-1/sqrt(fan_in), as in PyTorch."""
        init_weight_and_bias(self.weight, self.bias)

    def _describe(self, padding: Any, output_padding: Sizes = ()) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        parts += [f"padding={padding}"] if padding != (0,) * self.axes else []
        parts += [f"dilation={self.dilation}"] if self.dilation != (1,) * self.axes else []
        parts += [f"output_padding={output_padding}"] if any(output_padding) else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        return ", ".join(parts)


class _Conv(_ConvNd):
    """A convolution over `axes` axes by `_op`; the border is padded in one of four ways."""

    _op: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes | str = 0,
        dilation: int | Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        owner = type(self).__name__
        self.padding_mode = args.choice(owner, "padding_mode", padding_mode, _PADDING_MODES)
        if isinstance(padding, str):
            self.padding: Sizes | str = args.choice(owner, "padding", padding, ("valid", "same"))
        else:
            self.padding = args.numbers(owner, "padding", padding, self.axes, minimum=0)
        if self.padding == "same" and self.stride != (1,) * self.axes:
            raise ConfigError(f"{owner}: expected stride 1 with padding='same'; got stride={stride!r}")
        # (before, after) of each axis: one form for every kind of padding.
        self._pads = tuple(self._pad_of(axis) for axis in range(self.axes))
        weight_shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self._make_parameters(weight_shape, bias, device, dtype)

    def _pad_of(self, axis: int) -> tuple[int, int]:
        if self.padding == "valid":
            return 0, 0
        if self.padding == "same":
            total = self.dilation[axis] * (self.kernel_size[axis] - 1)
            return total // 2, total - total // 2
        return self.padding[axis], self.padding[axis]  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(type(self)._op, x)

    def convolve(self, op: Any, x: Tensor) -> Tensor:
        """x through `op`, which takes the arguments of conv2d, with this module's parameters and sizes."""
        padding = tuple(before for before, _ in self._pads)
        if self.padding_mode != "zeros" or any(before != after for before, after in self._pads):
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x = F.pad(x, tuple(width for pads in reversed(self._pads) for width in pads), mode=mode)
            padding = (0,) * self.axes
        return op(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = self._describe(self.padding)
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv1d(_Conv):
    """1-D convolution (cross-correlation): x (N, C, T) -> y (N, O, OT), OT = (T + 2p - d(KT-1) - 1)//s + 1.

    weight (O, C//groups, KT), bias (O,). The arguments are those of `Conv2d`. Raises ConfigError for sizes that cannot
    be.

    >>> import deepcore as dc
    >>> Conv1d(4, 8, 3, padding=1)(dc.zeros(2, 4, 10)).shape
    (2, 8, 10)
    """

    axes = 1
    _op = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """2-D convolution (cross-correlation): x (N, C, H, W) -> y (N, O, OH, OW), OH = (H + 2p - d(KH-1) - 1)//s + 1.

    weight (O, C//groups, KH, KW), bias (O,). padding: an integer, a pair, "valid" (none) or "same" (OH = H, stride 1
    only; an odd total puts the extra row below and the extra column on the right, as in PyTorch).
    padding_mode: zeros, reflect, replicate or circular. Raises ConfigError for sizes that cannot be.

    >>> import deepcore as dc
    >>> Conv2d(1, 6, 5, padding=2)(dc.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    _op = staticmethod(F.conv2d)


class Conv3d(_Conv):
    """3-D convolution (cross-correlation): x (N, C, D, H, W) -> y (N, O, OD, OH, OW), each axis as in `Conv2d`.

    weight (O, C//groups, KD, KH, KW), bias (O,). Raises ConfigError for sizes that cannot be.

    >>> import deepcore as dc
    >>> Conv3d(1, 2, 3, stride=(1, 2, 2))(dc.zeros(1, 1, 5, 9, 9)).shape
    (1, 2, 3, 4, 4)
    """

    axes = 3
    _op = staticmethod(F.conv3d)


class _ConvTranspose(_ConvNd):
    """A transposed convolution over `axes` axes by `_op`."""

    _op: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes = 0,
        output_padding: int | Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        owner = type(self).__name__
        args.choice(owner, "padding_mode", padding_mode, ("zeros",))
        self.padding = args.numbers(owner, "padding", padding, self.axes, minimum=0)
        self.output_padding = args.numbers(owner, "output_padding", output_padding, self.axes, minimum=0)
        limits = tuple(max(s, d) for s, d in zip(self.stride, self.dilation, strict=True))
        if any(extra >= limit for extra, limit in zip(self.output_padding, limits, strict=True)):
            raise ConfigError(
                f"{owner}: expected output_padding to be smaller than stride or dilation; "
                f"got output_padding={output_padding}, stride={stride}, dilation={dilation}"
            )
        weight_shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        self._make_parameters(weight_shape, bias, device, dtype)

    def forward(self, x: Tensor, output_size: Sizes | None = None) -> Tensor:
        """``output_size``, of the last axes, chooses output_padding by the size that is wanted."""
        extra = self.output_padding if output_size is None else self._output_padding(x, output_size)
        return type(self)._op(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, x: Tensor, output_size: Sizes) -> Sizes:
        wanted = tuple(output_size)[-self.axes :]
        if len(wanted) != self.axes:
            raise ConfigError(
                f"{type(self).__name__}: expected output_size of {self.axes} numbers; got {output_size!r}"
            )
        smallest = [
            (size - 1) * s - 2 * p + d * (k - 1) + 1
            for size, s, p, d, k in zip(
                x.shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        extra = tuple(w - low for w, low in zip(wanted, smallest, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            largest = tuple(low + s - 1 for low, s in zip(smallest, self.stride, strict=True))
            raise ConfigError(
                f"{type(self).__name__}: expected output_size between {tuple(smallest)} and {largest}; got {wanted}"
            )
        return extra

    def extra_repr(self) -> str:
        return self._describe(self.padding, self.output_padding)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences, the gradient of `Conv1d` with respect to its input.

    OT = (T - 1)s - 2p + d(KT - 1) + output_padding + 1. weight (C, O//groups, KT), bias (O,).

    >>> import deepcore as dc
    >>> ConvTranspose1d(8, 4, 2, stride=2)(dc.zeros(1, 8, 7)).shape
    (1, 4, 14)
    """

    axes = 1
    _op = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution, the gradient of `Conv2d` with respect to its input, used to enlarge images.

    OH = (H - 1)s - 2p + d(KH - 1) + output_padding + 1. weight (C, O//groups, KH, KW), bias (O,).
    output_padding tells apart the sizes that a strided convolution maps to one; smaller than stride or dilation.

    >>> import deepcore as dc
    >>> ConvTranspose2d(8, 4, 2, stride=2)(dc.zeros(1, 8, 7, 7)).shape
    (1, 4, 14, 14)
    """

    _op = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes, the gradient of `Conv3d` with respect to its input.

    Every axis as in `ConvTranspose2d`. weight (C, O//groups, KD, KH, KW), bias (O,).

    >>> import deepcore as dc
    >>> ConvTranspose3d(2, 1, 2, stride=2)(dc.zeros(1, 2, 2, 3, 3)).shape
    (1, 1, 4, 6, 6)
    """

    axes = 3
    _op = staticmethod(F.conv_transpose3d)
