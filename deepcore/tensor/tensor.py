"""`Tensor`: a Variable with operators and PyTorch's methods, each a call of a function in deepcore.functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deepcore import dtypes
from deepcore import functions as fn
from deepcore.autograd import engine
from deepcore.autograd.variable import Variable, wrap
from deepcore.backends import get_backend
from deepcore.devices import device
from deepcore.errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError, got, message
from deepcore.functions.shape import cast, to_backend
from deepcore.tensor import dlpack
from deepcore.tensor.aliases import Aliases
from deepcore.tensor.inplace import InPlace
from deepcore.tensor.methods import Methods
from deepcore.tensor.operators import Operators

_hook_ids = itertools.count()


class RemovableHandle:
    """Takes a hook off again: `handle.remove()`, or leaving `with handle:`."""

    def __init__(self, remove: Callable[[], object]) -> None:
        self._remove: Callable[[], object] | None = remove

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        if self._remove is not None:
            self._remove()
            self._remove = None

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Tensor(Operators, InPlace, Methods, Aliases):
    """An n-dimensional array on one device, with a gradient; made with `deepcore.tensor`, `zeros`, `randn`, ...

    array: the array itself, of the array library of the device. shape: tuple. dtype: a NumPy dtype. device: its name.
    """

    __hash__ = object.__hash__
    # NumPy's operators return NotImplemented for tensors, so that `array * tensor` is an error of ours.
    __array_ufunc__ = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ArgumentError(message("Tensor", "a call of deepcore.tensor(data)", "Tensor(...)"))

    # ---- what it is

    @property
    def device(self) -> device:
        return device(self.backend.device)

    @property
    def ndim(self) -> int:
        return len(self.array.shape)

    @property
    def data(self) -> Tensor:
        """The same memory outside of the graph."""
        return self.detach()

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return fn.permute(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        return fn.transpose(self, -1, -2)

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its length along one axis."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return int(self.array.size)

    def element_size(self) -> int:
        """Bytes an element."""
        return self.dtype.itemsize

    def is_floating_point(self) -> bool:
        """Whether the dtype is floating."""
        return dtypes.is_floating(self.dtype)

    def is_contiguous(self) -> bool:
        """Whether the memory is C-contiguous."""
        return bool(self.array.flags.c_contiguous)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise ArgumentError(message("len", "a tensor with at least one axis", got(x=self)))
        return self.shape[0]

    def __repr__(self) -> str:
        from deepcore.tensor.printing import tensor_repr

        return tensor_repr(self)

    # ---- values on the host

    def item(self) -> Any:
        """The only element as a Python number; waits for the device."""
        if self.array.size != 1:
            raise ShapeError(message("item", "a tensor with one element", got(x=self), "reduce it, or use tolist()"))
        return self.backend.item(self.array)

    def tolist(self) -> Any:
        """The values as nested lists; waits for the device."""
        return self.backend.to_host(self.array).tolist()

    def numpy(self) -> np.ndarray:
        """The array itself, shared, on a host device; raises where a copy would be hidden."""
        if self.requires_grad:
            hint = "call x.detach().numpy()"
            raise GraphError(message("numpy", "a tensor outside of the graph", "one that requires grad", hint))
        if not self.backend.on_host:
            raise DeviceError(
                message("numpy", "a tensor on a host device", got(x=self), 'copy it with .to("cpu") first')
            )
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None and not copy else np.array(array, dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """The array for another library, shared: `torch.from_dlpack(x)`, `np.from_dlpack(x)`, `cupy.from_dlpack(x)`.

        options: stream, max_version, dl_device and copy, as the protocol has them. Raises DLPackError (a BufferError)
        for a tensor that requires grad.
        """
        return dlpack.to_capsule(self, options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.device_of(self)

    def __bool__(self) -> bool:
        if self.array.size != 1:
            hint = "use (x != 0).any().item() or .all()"
            raise ShapeError(message("bool", "a tensor with one element", got(x=self), hint))
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(message("index", "an integer tensor", got(x=self)))
        return int(self.item())

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise ArgumentError(message("iter", "a tensor with at least one axis", got(x=self)))
        return iter(fn.unbind(self))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any().item())

    # ---- the graph

    def backward(self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf that it depends on.

        gradient: of the same shape; may be left out for a scalar. Raises GraphError and ShapeError.
        """
        engine.backward([self], [gradient], retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same memory outside of the graph."""
        out = wrap(self.array, self.backend)
        out._version_cell = self._version_cell
        return out

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph."""
        self.grad_fn, self.requires_grad = None, False
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients of this leaf, or not; raises for integers and for tensors that an op made."""
        if requires_grad and not self.is_floating_point():
            raise DTypeError(message("requires_grad_", "a floating dtype", got(x=self)))
        if self.grad_fn is not None and not requires_grad:
            raise GraphError(message("requires_grad_", "a leaf", f"a result of {self.grad_fn.name}", "use detach()"))
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in `.grad` although it is not a leaf."""
        if self.grad_fn is None or self._retains_grad:
            return
        self._retains_grad = True
        import weakref

        me = weakref.ref(self)

        def keep(gradient: Tensor) -> None:
            tensor = me()
            if tensor is not None:
                tensor.grad = gradient.clone() if tensor.grad is None else tensor.grad + gradient

        self.register_hook(keep)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(gradient)` when the gradient of this tensor is known; what it returns replaces the gradient."""
        if not self.requires_grad:
            raise GraphError(message("register_hook", "a tensor that requires grad", got(x=self)))
        if self.grad_fn is None:
            hooks = self._hooks = {} if self._hooks is None else self._hooks
            key = next(_hook_ids)
            hooks[key] = hook
            return RemovableHandle(lambda: hooks.pop(key, None))
        creator = self.grad_fn
        creator.output_hooks = {} if creator.output_hooks is None else creator.output_hooks
        listed = creator.output_hooks.setdefault(self.output_nr, [])
        listed.append(hook)
        return RemovableHandle(lambda: listed.remove(hook) if hook in listed else None)

    # ---- device and dtype

    def to(self, *args: Any, device: str | None = None, dtype: Any = None, copy: bool = False) -> Tensor:
        """On another device, in another dtype, or both: to("cuda"), to(dc.float64), to("cpu", dc.float32), to(other).

        Returns the tensor itself where nothing changes. A copy between devices is differentiable.
        """
        for arg in args:
            if isinstance(arg, Variable):
                device, dtype = arg.backend.device, arg.dtype
            elif isinstance(arg, str) and not _is_dtype_name(arg):
                device = arg
            else:
                dtype = arg
        out = self
        if device is not None:
            out = to_backend(out, get_backend(device))
        if dtype is not None:
            out = cast(out, dtypes.as_dtype(dtype))
        return fn.clone(out) if copy and out is self else out

    def cpu(self) -> Tensor:
        """On the device "cpu"."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> Tensor:
        """On the device "cuda", or "cuda:index"."""
        return self.to("cuda" if index is None else f"cuda:{index}")

    def type_as(self, other: Tensor) -> Tensor:
        """In the dtype of another tensor."""
        return cast(self, other.dtype)

    def float(self) -> Tensor:
        """In float32."""
        return cast(self, dtypes.float32)

    def double(self) -> Tensor:
        """In float64."""
        return cast(self, dtypes.float64)

    def half(self) -> Tensor:
        """In float16."""
        return cast(self, dtypes.float16)

    def bfloat16(self) -> Tensor:
        """In bfloat16."""
        return cast(self, dtypes.bfloat16)

    def int(self) -> Tensor:
        """In int32."""
        return cast(self, dtypes.int32)

    def long(self) -> Tensor:
        """In int64."""
        return cast(self, dtypes.int64)

    def bool(self) -> Tensor:
        """In bool: whether each element is not 0."""
        return cast(self, dtypes.bool_)

    # ---- copies and pickles

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        if self.grad_fn is not None:
            hint = "detach() it first"
            raise GraphError(message("deepcopy", "a leaf", f"a result of {self.grad_fn.name}", hint))
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        out._init(self.array.copy(), self.backend, self.requires_grad)
        if self.grad is not None:
            out.grad = wrap(self.grad.array.copy(), self.backend)
        return out

    def __reduce__(self) -> Any:
        if self.grad_fn is not None:
            raise GraphError(message("pickle", "a leaf", f"a result of {self.grad_fn.name}", "detach() it first"))
        return _rebuild, (type(self), self.backend.to_host(self.array), self.backend.device, self.requires_grad)


def _rebuild(cls: type[Tensor], host: np.ndarray, name: str, requires_grad: bool) -> Tensor:
    backend = get_backend(name)
    out = cls.__new__(cls)
    out._init(backend.from_host(host), backend, requires_grad)
    return out


def _is_dtype_name(name: str) -> bool:
    try:
        dtypes.as_dtype(name)
    except DTypeError:
        return False
    return True


Variable.result_class = Tensor
