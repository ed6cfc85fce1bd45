"""The reference workloads: models, data and one training step, written once for deepcore and for PyTorch.

Both have the same names, so one `build(nn, F)` makes the model of either: `build(deepcore.nn, deepcore.functional)` or
`build(torch.nn, torch.nn.functional)`. Nothing here imports a framework. Shapes are for one training step; dropout, the
only random part, can be left out so that results can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

VOCABULARY = 65  # the characters of Shakespeare's plays


class Workload(NamedTuple):
    """A model with its data: `build(nn, F, dropout)`; `batch(rng, n)` is (x, target); `loss(F, model(x), target)`.

    `optimizer` is the name of a class in `optim`, with its arguments. `size` is the batch of the reference figures, and
    `extent` the side of the images or the length of the sequences in it; `batch(rng, n, extent)` makes another
    one, where the model takes it.
    """

    name: str
    build: Callable[..., Any]
    batch: Callable[..., tuple[np.ndarray, np.ndarray]]
    loss: Callable[[Any, Any, Any], Any]
    optimizer: tuple[str, dict[str, float]]
    size: int
    extent: int
    about: str


SGD = ("SGD", {"lr": 0.01, "momentum": 0.9})
ADAM = ("Adam", {"lr": 1e-3})


def _images(channels: int, side: int, classes: int = 10) -> Callable:
    def batch(rng: np.random.Generator, n: int, side: int = side) -> tuple[np.ndarray, np.ndarray]:
        x = rng.standard_normal((n, channels, side, side), dtype=np.float32)
        return x, rng.integers(0, classes, n)

    return batch


def _vectors(rng: np.random.Generator, n: int, length: int = 784) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, length), dtype=np.float32), rng.integers(0, 10, n)


def _characters(length: int) -> Callable:
    def batch(rng: np.random.Generator, n: int, length: int = length) -> tuple[np.ndarray, np.ndarray]:
        text = rng.integers(0, VOCABULARY, (n, length + 1))
        return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])

    return batch


def _cells(rng: np.random.Generator, n: int, side: int = 128) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((n, 3, side, side), dtype=np.float32)
    return x, (rng.random((n, 1, side, side)) < 0.3).astype(np.float32)


def _classes(F: Any, y: Any, target: Any) -> Any:
    return F.cross_entropy(y, target)


def _next_characters(F: Any, y: Any, target: Any) -> Any:
    return F.cross_entropy(y.reshape(-1, VOCABULARY), target.reshape(-1))


def _masks(F: Any, y: Any, target: Any) -> Any:
    return F.binary_cross_entropy_with_logits(y, target)


def mlp(nn: Any, F: Any, dropout: bool = True) -> Any:
    """784-512-512-10 with ReLU."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def lenet(nn: Any, F: Any, dropout: bool = True) -> Any:
    """LeNet-5 with ReLU and max-pooling, for 28x28."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def deepconvnet(nn: Any, F: Any, dropout: bool = True) -> Any:
    """The DeepConvNet of 'Deep Learning from Scratch', chapter 8, for 28x28."""

    def stage(first: int, width: int, padding: int) -> list[Any]:
        one = [nn.Conv2d(first, width, 3, padding=1), nn.ReLU()]
        return [*one, nn.Conv2d(width, width, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]

    drop = [nn.Dropout(0.5)] if dropout else []
    return nn.Sequential(
        *stage(1, 16, 1),
        *stage(16, 32, 2),
        *stage(32, 64, 1),
        nn.Flatten(),
        *(nn.Linear(64 * 4 * 4, 50), nn.ReLU(), *drop, nn.Linear(50, 10), *drop),
    )


def resnet20(nn: Any, F: Any, dropout: bool = True) -> Any:
    """ResNet-20 for CIFAR (He et al. 2016, section 4.2), identity shortcuts padded with zeros."""

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                *(nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outside)),
                nn.ReLU(),
                *(nn.Conv2d(outside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside)),
            )
            self.relu = nn.ReLU()
            self.new, self.stride = outside - inside, stride

        def forward(self, x: Any) -> Any:
            y = self.body(x)
            if self.stride > 1:
                x = x[:, :, :: self.stride, :: self.stride]
            return self.relu(y + (F.pad(x, (0, 0, 0, 0, 0, self.new)) if self.new else x))

    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inside = 16
    for width, first in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            layers.append(Block(inside, width, first if i == 0 else 1))
            inside = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def vgg_small(nn: Any, F: Any, dropout: bool = True) -> Any:
    """64 M 128 M 256 256 M 512 512 M with batch normalisation, for CIFAR."""
    layers: list[Any] = []
    inside = 3
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(inside, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            inside = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 2 * 2, 10))


def char_lstm(nn: Any, F: Any, dropout: bool = True) -> Any:
    """Characters -> embedding -> two LSTM layers of 256 -> the next character."""

    class CharLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 256)
            self.lstm = nn.LSTM(256, 256, num_layers=2, batch_first=True)
            self.head = nn.Linear(256, VOCABULARY)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0])

    return CharLSTM()


def unet(nn: Any, F: Any, dropout: bool = True) -> Any:
    """U-Net (Ronneberger et al. 2015) with four poolings, from 32 to 512 channels, batch normalisation and padding."""

    def double(inside: int, outside: int) -> Any:
        layers: list[Any] = []
        for first in (inside, outside):
            layers += [nn.Conv2d(first, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU()]
        return nn.Sequential(*layers)

    class Level(nn.Module):
        """Convolutions, then what lies below at half the size, and both together back up."""

        def __init__(self, inside: int, width: int, below: Any) -> None:
            super().__init__()
            self.down = double(inside, width)
            self.pool = nn.MaxPool2d(2)
            self.below = below
            self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            self.merge = double(2 * width, width)

        def forward(self, x: Any) -> Any:
            x = self.down(x)
            return self.merge(self.cat([x, self.up(self.below(self.pool(x)))]))

        def cat(self, parts: list[Any]) -> Any:
            return _cat(F, parts)

    net = double(256, 512)
    for inside, width in ((128, 256), (64, 128), (32, 64), (3, 32)):
        net = Level(inside, width, net)
    return nn.Sequential(net, nn.Conv2d(32, 1, 1))


def transformer(nn: Any, F: Any, dropout: bool = True) -> Any:
    """Four encoder blocks, normalised first: width 256, four heads, GELU, a hidden layer of 1024."""

    class Block(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            n, t, d = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
            x = x + self.out(y.permute(0, 2, 1, 3).reshape(n, t, d))
            return x + self.mlp(self.norm2(x))

    blocks = [Block(256, 4) for _ in range(4)]
    return nn.Sequential(nn.Embedding(VOCABULARY, 256), *blocks, nn.LayerNorm(256), nn.Linear(256, VOCABULARY))


def _cat(F: Any, parts: list[Any]) -> Any:
    """Join along the channels; the one name that stands on the package and not in `functional` in PyTorch."""
    if hasattr(F, "cat"):
        return F.cat(parts, 1)
    import torch

    return torch.cat(parts, 1)


WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp", mlp, _vectors, _classes, SGD, 128, 784, "784-512-512-10, SGD with momentum"),
        Workload("lenet", lenet, _images(1, 28), _classes, ADAM, 128, 28, "28x28, Adam"),
        Workload("deepconvnet", deepconvnet, _images(1, 28), _classes, ADAM, 100, 28, "the book's, 28x28, Adam"),
        Workload("resnet20", resnet20, _images(3, 32), _classes, SGD, 128, 32, "32x32, SGD with momentum"),
        Workload("vgg_small", vgg_small, _images(3, 32), _classes, SGD, 64, 32, "32x32, SGD with momentum"),
        Workload("char_lstm", char_lstm, _characters(64), _next_characters, ADAM, 32, 64, "2x256, T 64, Adam"),
        Workload("unet", unet, _cells, _masks, ADAM, 8, 128, "128x128, Adam"),
        Workload(
            "transformer", transformer, _characters(128), _next_characters, ADAM, 16, 128, "4 blocks, T 128, Adam"
        ),
    )
}
