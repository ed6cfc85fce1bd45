"""Convolution and transposed convolution on images."""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.args import Pair
from deepcore.nn.linear import init_weight_and_bias
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What both convolutions share: the sizes, the checks, the parameters, the printed line."""

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any, groups: int
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.in_channels = args.integer(owner, "in_channels", in_channels)
        self.out_channels = args.integer(owner, "out_channels", out_channels)
        self.kernel_size = args.pair(owner, "kernel_size", kernel_size)
        self.stride = args.pair(owner, "stride", stride)
        self.dilation = args.pair(owner, "dilation", dilation)
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

    def _describe(self, padding: str, output_padding: Pair = (0, 0)) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        parts += [padding] if padding else []
        parts += [f"dilation={self.dilation}"] if self.dilation != (1, 1) else []
        parts += [f"output_padding={output_padding}"] if output_padding != (0, 0) else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        return ", ".join(parts)


class Conv2d(_ConvNd):
    """2-D convolution (cross-correlation): x (N, C, H, W) -> y (N, O, OH, OW), OH = (H + 2p - d(KH-1) - 1)//s + 1.

    weight (O, C//groups, KH, KW), bias (O,). padding: an integer, a pair, "valid" (none) or "same" (OH = H, stride 1
    only; an odd total puts the extra row below and the extra column on the right, as in PyTorch).
    padding_mode: zeros, reflect, replicate or circular. Raises ConfigError for sizes that cannot be.

    >>> import deepcore as dc
    >>> Conv2d(1, 6, 5, padding=2)(dc.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding_mode = args.choice("Conv2d", "padding_mode", padding_mode, _PADDING_MODES)
        if isinstance(padding, str):
            self.padding: Pair | str = args.choice("Conv2d", "padding", padding, ("valid", "same"))
        else:
            self.padding = args.pair("Conv2d", "padding", padding, minimum=0)
        if self.padding == "same" and self.stride != (1, 1):
            raise ConfigError(f"Conv2d: expected stride 1 with padding='same'; got stride={stride!r}")
        # (top, bottom), (left, right): one form for every kind of padding.
        self._pads = tuple(self._pad_of(axis) for axis in (0, 1))
        weight_shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self._make_parameters(weight_shape, bias, device, dtype)

    def _pad_of(self, axis: int) -> Pair:
        if self.padding == "valid":
            return 0, 0
        if self.padding == "same":
            total = self.dilation[axis] * (self.kernel_size[axis] - 1)
            return total // 2, total - total // 2
        return self.padding[axis], self.padding[axis]  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = self._pads
        padding = (top, left)
        if self.padding_mode != "zeros" or top != bottom or left != right:
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x = F.pad(x, (left, right, top, bottom), mode=mode)
            padding = (0, 0)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        padding = "" if self.padding == (0, 0) else f"padding={self.padding}"
        text = self._describe(padding)
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class ConvTranspose2d(_ConvNd):
    """Transposed convolution, the gradient of `Conv2d` with respect to its input, used to enlarge images.

    OH = (H - 1)s - 2p + d(KH - 1) + output_padding + 1. weight (C, O//groups, KH, KW), bias (O,).
    output_padding tells apart the sizes that a strided convolution maps to one; smaller than stride or dilation.

    >>> import deepcore as dc
    >>> ConvTranspose2d(8, 4, 2, stride=2)(dc.zeros(1, 8, 7, 7)).shape
    (1, 4, 14, 14)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        args.choice("ConvTranspose2d", "padding_mode", padding_mode, ("zeros",))
        self.padding = args.pair("ConvTranspose2d", "padding", padding, minimum=0)
        self.output_padding = args.pair("ConvTranspose2d", "output_padding", output_padding, minimum=0)
        limits = tuple(max(s, d) for s, d in zip(self.stride, self.dilation, strict=True))
        if any(extra >= limit for extra, limit in zip(self.output_padding, limits, strict=True)):
            raise ConfigError(
                "ConvTranspose2d: expected output_padding to be smaller than stride or dilation; "
                f"got output_padding={output_padding}, stride={stride}, dilation={dilation}"
            )
        weight_shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        self._make_parameters(weight_shape, bias, device, dtype)

    def forward(self, x: Tensor, output_size: tuple[int, ...] | None = None) -> Tensor:
        """``output_size`` (OH, OW) chooses output_padding by the size that is wanted."""
        extra = self.output_padding if output_size is None else self._output_padding(x, output_size)
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _output_padding(self, x: Tensor, output_size: tuple[int, ...]) -> Pair:
        wanted = tuple(output_size)[-2:]
        smallest = [
            (size - 1) * s - 2 * p + d * (k - 1) + 1
            for size, s, p, d, k in zip(
                x.shape[-2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        extra = [w - low for w, low in zip(wanted, smallest, strict=True)]
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            largest = [low + s - 1 for low, s in zip(smallest, self.stride, strict=True)]
            raise ConfigError(
                f"ConvTranspose2d: expected output_size between {tuple(smallest)} and {tuple(largest)}; got {wanted}"
            )
        return extra[0], extra[1]

    def extra_repr(self) -> str:
        padding = "" if self.padding == (0, 0) else f"padding={self.padding}"
        return self._describe(padding, self.output_padding)
