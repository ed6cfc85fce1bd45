"""Models by name or of a user's own file: `build("net.py:Net", num_classes=10)`."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepcore import nn
from deepcore.errors import ConfigError, nearest
from deepcore.models.registry import find

OPTIONS = ("num_classes", "in_channels", "image_size")


def is_file_spec(spec: str) -> bool:
    """Whether a text names a class in a Python file, as "net.py:Net" does."""
    return ".py:" in spec


def builder(spec: str) -> Callable[..., nn.Module]:
    """The class or function that "net.py:Net" names, or the builder of a registered model.

    The file is run as a module of its own, with its folder on the search path for what it imports. Raises ConfigError
    where it is absent, cannot be run, or does not hold the name.
    """
    if not is_file_spec(spec):
        return find(spec)
    path, _, name = spec.rpartition(":")
    contents = vars(_module(Path(path)))
    found = contents.get(name)
    if not callable(found):
        classes = [key for key, value in contents.items() if inspect.isclass(value)]
        raise ConfigError(f"{path} has no class {name!r}.{nearest(name, classes)}")
    return found


def build(spec: str, **options: Any) -> nn.Module:
    """A new model; those of `OPTIONS` that a constructor of a user's own does not take are left out.

    Raises ConfigError where the constructor fails, or what it makes is no Module.
    """
    make = builder(spec)
    if is_file_spec(spec):
        taken = inspect.signature(make).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD for p in taken):
            accepted = {p.name for p in taken}
            options = {key: value for key, value in options.items() if key in accepted}
    try:
        model = make(**options)
    except TypeError as error:
        raise ConfigError(f"{spec} cannot be built from {_given(options)} alone ({error}).") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{spec}: expected a Module; got {type(model).__name__}.")
    return model


def _given(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no arguments"


def _module(path: Path) -> Any:
    key = f"_model_of_{abs(hash(str(path.resolve())))}"
    if not path.is_file():
        raise ConfigError(f"there is no file {path}. Hint: a model of your own is FILE.py:CLASS.")
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # so that its classes can be pickled and copied
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[key]
        raise ConfigError(f"{path} cannot be run ({type(error).__name__}: {error}).") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module
