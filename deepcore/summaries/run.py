"""`summary`: a forward in evaluation mode and one in training mode, on random input; then all is as it was before."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from deepcore.autograd import enable_grad, no_grad
from deepcore.creation import rand, zeros
from deepcore.dtypes import as_dtype, get_default_dtype, is_floating
from deepcore.errors import ConfigError, DeepcoreError, message
from deepcore.nn import Module
from deepcore.random import Generator, get_rng_state, set_rng_state
from deepcore.summaries.result import Layer, Summary
from deepcore.summaries.watching import Shapes, Watch, kept_by, owner, shapes, tensors_of

OP = "summary"


def summary(
    model: Module, input_size: Any = None, *, input_data: Any = None, dtypes: Sequence[Any] | None = None
) -> Summary:
    """The modules of a model with output shapes, parameters, multiply-adds and memory of activations.

    It is watched one module after the other; where `Sequential` otherwise merges a layer with its ReLU, the tape keeps
    less than the modules' figures add up to, and `Summary.kept_bytes` is what it really keeps.

    input_size: the shape of the input with its batch, such as (1, 1, 28, 28), or a list of shapes for a model of
    several inputs; they are filled with random numbers (integers with 0). dtypes: one for each input; the model's
    own is the default. input_data: a tensor, or a tuple of arguments of any kind, in place of input_size. Without
    either the model is not run, and only parameters and buffers are known.

    The model runs where its parameters are. Random numbers, buffers and modes are afterwards what they were.
    `deepcore.summaries.multiply_adds` says what is counted. Raises ConfigError for an input that is none, and with the
    name of the module where the model fails on it.

    >>> import deepcore as dc
    >>> from deepcore import nn
    >>> found = dc.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (3, 4))
    >>> found.parameters, found.multiply_adds, [layer.outputs for layer in found.layers]
    (58, 144, [((3, 2),), ((3, 8),), ((3, 8),), ((3, 2),)])
    >>> print(found.to_text().partition("input:")[0].rstrip())
    layer       module  output  parameters  multiply-adds  activations  kept
    ------------------------------------------------------------------------
    Sequential          (3, 2)          58            144        216 B  96 B
      0         Linear  (3, 8)          40             96         96 B     -
      1         ReLU    (3, 8)           -              -         96 B  96 B
      2         Linear  (3, 2)          18             48         24 B     -
    """
    if not isinstance(model, Module):
        raise ConfigError(message(OP, "a Module", f"{type(model).__name__}"))
    arguments = _arguments(model, input_size, input_data, dtypes)
    notes: list[str] = []
    kept: Counter[str] | None = None
    kept_bytes: int | None = None
    if arguments is None:
        return _collect(model, Watch(model, []), (), 0, None, None, notes)
    held = [tensor.array for tensor in (*model.parameters(), *model.buffers())]
    inputs = [tensor.array for tensor in tensors_of(arguments)]
    watch, training = Watch(model, held + inputs), Watch(model, held + inputs, keep=True)
    with _restored(model):
        with no_grad():
            _run(model.eval(), watch, arguments)
        try:
            with enable_grad():
                _run(model.train(), training, arguments)
                kept_bytes = kept_by(model(*arguments), held + inputs)  # unwatched, as it is when it trains
            kept = training.kept()
        except ConfigError as error:  # batch normalisation refuses to learn from a batch of one value
            notes.append(f"what backward keeps is not known: in training mode, {error}")
    return _collect(model, watch, shapes(arguments), sum(owner(a).nbytes for a in inputs), kept, kept_bytes, notes)


def _arguments(model: Module, input_size: Any, input_data: Any, dtypes: Any) -> tuple[Any, ...] | None:
    """The arguments of a call of the model, or None where neither size nor data is given."""
    if input_data is not None:
        if input_size is not None or dtypes is not None:
            raise ConfigError(message(OP, "input_data alone, or input_size with dtypes", "both"))
        return input_data if isinstance(input_data, tuple) else (input_data,)
    if input_size is None:
        return None
    several = isinstance(input_size, list) and not all(type(n) is int for n in input_size)
    sizes = [_size(size) for size in (input_size if several else [input_size])]
    first = next((p for p in model.parameters() if is_floating(p.dtype)), None)
    usual = get_default_dtype() if first is None else first.dtype
    kinds = [usual] * len(sizes) if dtypes is None else [as_dtype(dtype) for dtype in dtypes]
    if len(kinds) != len(sizes):
        raise ConfigError(message(OP, "one dtype for each input", f"{len(kinds)} dtypes, {len(sizes)} inputs"))
    device = None if first is None else first.backend.device
    numbers = Generator(0)
    return tuple(
        rand(size, generator=numbers, device=device).to(dtype)
        if is_floating(dtype)
        else zeros(size, dtype=dtype, device=device)
        for size, dtype in zip(sizes, kinds, strict=True)
    )


def _size(size: Any) -> tuple[int, ...]:
    if isinstance(size, int):
        size = (size,)
    if not isinstance(size, tuple | list) or not all(type(n) is int and n > 0 for n in size):
        hint = "with the batch in front: (1, 1, 28, 28); a list of such for several inputs"
        raise ConfigError(message(OP, "input_size as positive ints", repr(size), hint))
    return tuple(size)


@contextlib.contextmanager
def _restored(model: Module) -> Iterator[None]:
    """Puts back modes, buffers and the random stream."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module._buffers, dict(module._buffers)) for module in model.modules()]
    values = [(buffer, buffer.array.copy()) for buffer in model.buffers()]
    random = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(random)
        for module, training in modes:
            module.training = training
        for registered, before in buffers:
            registered.update(before)
        for buffer, array in values:
            buffer.array = array


def _run(model: Module, watch: Watch, arguments: tuple[Any, ...]) -> Any:
    """One watched forward. Raises ConfigError that names the module where it fails."""
    try:
        with watch.on(model):
            return model(*arguments)
    except (DeepcoreError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        where = watch.running[-1] if watch.running else ""
        place = f"module {where!r} ({type(model.get_submodule(where)).__name__})" if where else type(model).__name__
        given = ", ".join(map(str, shapes(arguments)))
        raise ConfigError(
            message(
                OP,
                f"an input that {type(model).__name__} can compute",
                f"{given}; {place} says: {str(error).rstrip('.')}",
            )
        ) from error


def _collect(
    model: Module,
    watch: Watch,
    inputs: Shapes,
    input_bytes: int,
    kept: Counter[str] | None,
    kept_bytes: int | None,
    notes: list[str],
) -> Summary:
    layers = []
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        layers.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                depth=name.count(".") + 1 if name else 0,
                calls=watch.calls[name],
                inputs=watch.inputs.get(name, ()),
                outputs=watch.outputs.get(name, ()),
                parameters=sum(p.numel() for p in parameters),
                trainable=sum(p.numel() for p in parameters if p.requires_grad),
                multiply_adds=_inside(watch.multiply_adds, name),
                activation_bytes=_inside(watch.made, name),
                kept_bytes=None if kept is None else _inside(kept, name),
            )
        )
    buffers = list(model.buffers())
    device = next((str(t.backend.device) for t in (*model.parameters(), *buffers)), "cpu")
    return Summary(
        model=type(model).__name__,
        device=device,
        layers=tuple(layers),
        inputs=inputs,
        input_bytes=input_bytes,
        parameter_bytes=sum(p.array.nbytes for p in model.parameters()),
        buffers=sum(b.numel() for b in buffers),
        buffer_bytes=sum(b.array.nbytes for b in buffers),
        peak_bytes=watch.peak,
        kept_bytes=kept_bytes,
        notes=tuple(notes),
    )


def _inside(counts: Counter[str], name: str) -> int:
    """The sum over a module and those below it."""
    return sum(n for key, n in counts.items() if not name or key == name or key.startswith(f"{name}."))
