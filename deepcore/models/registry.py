"""The table of models: a class is entered under a name and built by that name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from deepcore import nn
from deepcore.errors import ConfigError, nearest

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])
_MODELS: dict[str, Callable[..., nn.Module]] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Class decorator that enters a model under `name`. Raises ConfigError where the name is taken."""

    def enter(builder: Builder) -> Builder:
        if name in _MODELS:
            raise ConfigError(f"a model named {name!r} is registered already.")
        _MODELS[name] = builder
        return builder

    return enter


def names() -> list[str]:
    """Names of all models."""
    return sorted(_MODELS)


def find(name: str) -> Callable[..., nn.Module]:
    """The class or function that makes the model of that name. Raises ConfigError for an unknown name."""
    if name not in _MODELS:
        raise ConfigError(f"unknown model {name!r}; there are {', '.join(names())}.{nearest(name, _MODELS)}")
    return _MODELS[name]


def create(name: str, **options: Any) -> nn.Module:
    """A new model with freshly drawn weights; `options` go to its constructor.

    Raises ConfigError for an unknown name, or what the constructor raises.

    >>> type(create("lenet", num_classes=10, in_channels=1, image_size=28)).__name__
    'LeNet'
    """
    return find(name)(**options)
