"""What `deepcore summary` does: a model by name, from a file or a run folder, as a table or as JSON."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from deepcore import models
from deepcore.devices import device as use_device
from deepcore.errors import ConfigError, RunError, nearest
from deepcore.models.from_file import build, builder, is_file_spec
from deepcore.nn import Module
from deepcore.summaries import summary
from deepcore.train import checkpoint
from deepcore.train.config import read_toml
from deepcore.train.device import choose
from deepcore.train.run import RunFolder, write_atomic


class Options(NamedTuple):
    """What `deepcore summary` takes beside the model."""

    input: str | None
    batch_size: int
    classes: int | None
    dtype: str | None
    device: str
    depth: int | None
    json: Path | None


def summary_command(spec: str, options: Options) -> None:
    """Prints the table of a model; raises ConfigError, DeviceError and RunError."""
    name, _ = choose(options.device)
    shape = None if options.input is None else _shape(options.input)
    with use_device(name):
        model, shape = _model(spec, shape, options.classes)
    dtypes = None if options.dtype is None else [options.dtype]
    found = summary(model.to(name), (options.batch_size, *shape), dtypes=dtypes)
    text = json.dumps(found.to_dict(), indent=2)
    if options.json == Path("-"):
        print(text)
        return
    Console().print(found.to_text(options.depth), markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        write_atomic(options.json, lambda file: file.write(f"{text}\n".encode()))
        Console().print(f"wrote {options.json}", markup=False, highlight=False, soft_wrap=True)


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ConfigError(f"--input: expected whole numbers with commas, such as 1,28,28; got {text!r}.")
    return shape


def _model(spec: str, shape: tuple[int, ...] | None, classes: int | None) -> tuple[Module, tuple[int, ...]]:
    """(the model, the shape of one of its inputs)."""
    if spec not in models.names() and not is_file_spec(spec) and Path(spec).is_dir():
        return _of_run(spec, shape, classes)
    if spec not in models.names() and not is_file_spec(spec):
        hint = "a model of your own is FILE.py:CLASS, a trained one its run folder"
        raise ConfigError(
            f"unknown model {spec!r}; there are {', '.join(models.names())}.{nearest(spec, models.names())} "
            f"Hint: {hint}."
        )
    return _of_shape(spec, shape, {} if classes is None else {"num_classes": classes})


def _of_shape(spec: str, shape: tuple[int, ...] | None, given: dict[str, Any]) -> tuple[Module, tuple[int, ...]]:
    """A model for images of that shape, or of the shape that its constructor takes by default."""
    if shape is None:
        shape = _made_for(spec)
    if len(shape) == 3:
        if shape[1] != shape[2] and not is_file_spec(spec):
            raise ConfigError(f"--input: {spec} takes square images; got {shape[1]} x {shape[2]}.")
        given = {"in_channels": shape[0], "image_size": shape[1], **given}
    elif not is_file_spec(spec):
        raise ConfigError(f"--input: {spec} takes images, such as 1,28,28; got {','.join(map(str, shape))}.")
    return build(spec, **given), shape


def _made_for(spec: str) -> tuple[int, ...]:
    """The shape of the images that a constructor takes by default. Raises ConfigError where it does not say."""
    taken = inspect.signature(builder(spec)).parameters
    channels, size = (taken[key].default if key in taken else None for key in ("in_channels", "image_size"))
    if type(channels) is not int or type(size) is not int:
        raise ConfigError(f"{spec} does not say what it is made for. Hint: give the shape of one input: --input")
    return channels, size, size


def _of_run(path: str, shape: tuple[int, ...] | None, classes: int | None) -> tuple[Module, tuple[int, ...]]:
    """The model of a run folder, as its training has built it; while it is going, for the shape that is given."""
    if classes is not None:
        raise ConfigError(f"--classes: the run {path} has its classes already.")
    folder = RunFolder.open(path)
    if not folder.model.is_file():
        if shape is None:
            raise RunError(f"{folder} holds no {folder.model.name} yet. Hint: give the shape of one input: --input")
        return _of_shape(str(read_toml(folder.config).get("model", "lenet")), shape, {})
    _, info = checkpoint.load_model(folder.model)
    try:
        spec, options = info["model"], dict(info["options"])
        made_for = (options["in_channels"], options["image_size"], options["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder.model} lacks what it takes to build its model ({error}).") from error
    return build(spec, **options), shape or made_for
