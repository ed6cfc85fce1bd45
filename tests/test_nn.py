"""Modules: the tree and its registries, state dictionaries, moving, hooks and printing."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.errors import ConfigError, DataError

RNG = np.random.default_rng(7)


def host(tensor: dc.Tensor) -> np.ndarray:
    """The numbers of a tensor of any device."""
    return tensor.backend.to_host(tensor.array)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


class Twin(nn.Module):
    """Two names for one layer, a free parameter, two buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first
        self.scale = nn.Parameter(dc.ones(1))
        self.register_buffer("count", dc.zeros((), dtype="int64"))
        self.register_buffer("cache", dc.zeros(2), persistent=False)

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return self.second(self.first(x)) * self.scale


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_members_by_name_each_once() -> None:
    model = nn.Sequential(Twin(), nn.Linear(3, 1, bias=False))
    assert [name for name, _ in model.named_parameters()] == [
        "0.scale",
        "0.first.weight",
        "0.first.bias",
        "1.weight",
    ]
    assert len(list(model.parameters())) == 4
    assert [name for name, _ in model.named_buffers()] == ["0.count", "0.cache"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "0.first", "1"]
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert [name for name, _ in model[0].named_parameters(recurse=False)] == ["scale"]
    assert model.get_submodule("0.first") is model[0].second
    assert model.get_parameter("0.first.bias") is model[0].first.bias
    with pytest.raises(AttributeError):
        model.get_submodule("0.third")


def test_assignment_moves_between_registries() -> None:
    module = nn.Module()
    module.x = 3
    module.x = nn.Parameter(dc.zeros(2))
    assert [name for name, _ in module.named_parameters()] == ["x"]
    module.x = nn.Linear(1, 1)
    assert [name for name, _ in module.named_children()] == ["x"]
    assert "x" in dir(module)
    del module.x
    assert not hasattr(module, "x")
    module.register_parameter("y", None)
    assert module.y is None
    module.y = nn.Parameter(dc.zeros(1))
    assert len(list(module.parameters())) == 1
    module.register_buffer("z", dc.zeros(1))
    module.z = dc.ones(1)
    assert [host(b).tolist() for b in module.buffers()] == [[1.0]]


def test_wrong_registration_is_named() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(ConfigError, match=r"super\(\).__init__\(\)"):
        Forgetful()
    module = nn.Module()
    with pytest.raises(ConfigError, match="without a dot"):
        module.register_module("a.b", nn.Identity())
    with pytest.raises(ConfigError, match="expected a Parameter"):
        module.register_parameter("w", dc.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="exists already"):
        module.register_buffer("forward", dc.zeros(1))
    module.w = nn.Parameter(dc.zeros(1))
    with pytest.raises(ConfigError, match="expected a Parameter"):
        module.w = 3
    with pytest.raises(NotImplementedError, match="has no forward"):
        module(1)


def test_modes_freezing_and_gradients() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5)))
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.train().modules())
    model(dc.ones(1, 2)).sum().backward()
    assert all(param.grad is not None for param in model.parameters())
    model.zero_grad(set_to_none=False)
    assert all(not host(param.grad).any() for param in model.parameters())
    model.zero_grad()
    assert all(param.grad is None for param in model.parameters())
    model.requires_grad_(False)
    assert not model(dc.ones(1, 2)).requires_grad
    seen: list[str] = []
    model.apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Dropout", "Sequential", "Sequential"]


def test_deep_copy_is_independent() -> None:
    model = Twin()
    other = copy.deepcopy(model)
    nn.init.zeros_(other.first.weight)
    assert host(model.first.weight).any()
    assert other.second is other.first
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in model.named_parameters()]


# --- moving -----------------------------------------------------------------------------------------------------------


def test_to_moves_in_place(device: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to("numpy")
    params = list(model.parameters())
    before = [host(param).copy() for param in params]
    model(dc.tensor(normal(4, 3).astype(np.float32), device="numpy")).sum().backward()
    assert model.to(device) is model
    assert all(param is new for param, new in zip(params, model.parameters(), strict=True))
    for param, value in zip(params, before, strict=True):
        assert param.device == param.grad.device == device
        np.testing.assert_array_equal(host(param), value)
    assert all(buffer.device == device for buffer in model.buffers())
    model.to(dtype="float64")
    assert {str(param.dtype) for param in model.parameters()} == {"float64"}
    assert model[0].weight.grad.dtype == np.float64
    assert model[1].num_batches_tracked.dtype == np.int64
    assert model.float()[0].weight.dtype == np.float32
    assert model.double()[0].weight.dtype == np.float64


def test_to_keeps_memory_that_fits() -> None:
    layer = nn.Linear(2, 2)
    array = layer.weight.array
    layer.to("cpu").to(dtype="float32")
    assert layer.weight.array is array


# --- state dictionaries -----------------------------------------------------------------------------------------------


def test_state_dict_names_and_memory() -> None:
    model = Twin()
    state = model.state_dict()
    assert list(state) == ["scale", "count", "first.weight", "first.bias", "second.weight", "second.bias"]
    assert not any(tensor.requires_grad for tensor in state.values())
    assert state["first.weight"].array is model.first.weight.array
    assert model.state_dict(keep_vars=True)["scale"] is model.scale
    assert next(iter(model.state_dict(prefix="m."))) == "m.scale"


@pytest.mark.parametrize("as_arrays", [False, True])
def test_state_dict_round_trip(device: str, as_arrays: bool) -> None:
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to("numpy")
    source(dc.tensor(normal(5, 3).astype(np.float32), device="numpy"))
    state = source.state_dict()
    if as_arrays:
        state = {name: host(tensor).astype(np.float64) for name, tensor in state.items()}
    target = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(device)
    keys = target.load_state_dict(state)
    assert keys == ([], [])
    for name, tensor in target.state_dict().items():
        assert tensor.device == device
        assert tensor.dtype == source.state_dict()[name].dtype
        np.testing.assert_array_equal(host(tensor), host(source.state_dict()[name]))
    target[0].weight.array[...] = 0
    assert host(source[0].weight).any(), "loading copies"


def test_load_state_dict_says_everything_at_once() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = host(model[0].bias).copy()
    state = model.state_dict()
    state["0.bias"] = dc.ones(4)
    state["0.weight"] = np.zeros((4, 5))
    del state["1.bias"]
    state["extra"] = np.zeros(1)
    with pytest.raises(DataError) as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "missing 1.bias" in text
    assert "unexpected extra" in text
    assert "0.weight: (4, 5) in the state, (4, 3) in the model" in text
    np.testing.assert_array_equal(host(model[0].bias), before)
    with pytest.raises(DataError, match=r"0\.weight"):
        model.load_state_dict(state, strict=False)
    del state["0.weight"]
    keys = model.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["0.weight", "1.bias"]
    assert keys.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(host(model[0].bias), np.ones(4))


@pytest.mark.parametrize("value", ["text", None, {"a": 1}])
def test_load_state_dict_refuses_what_is_no_array(value: object) -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(DataError, match="weight"):
        model.load_state_dict({**model.state_dict(), "weight": value})
    with pytest.raises(DataError, match="mapping"):
        model.load_state_dict([1, 2])  # type: ignore[arg-type]


def test_loading_is_seen_by_the_tape() -> None:
    """Weights that change between forward and backward are an error, not a wrong gradient."""
    layer = nn.Linear(2, 2)
    y = layer(dc.ones(1, 2, requires_grad=True)).sum()
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="in place"):
        y.backward()


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_in_order_and_removed() -> None:
    module = nn.Identity()
    calls: list[str] = []
    module.register_forward_pre_hook(lambda m, args: calls.append("pre"))
    add = module.register_forward_pre_hook(lambda m, args: args[0] + 1)
    first = module.register_forward_hook(lambda m, args, out: calls.append("post"), prepend=True)
    double = module.register_forward_hook(lambda m, args, out: out * 2)
    assert module(1) == 4
    assert calls == ["pre", "post"]
    add.remove()
    add.remove()
    assert module(1) == 2
    with double:
        pass
    first.remove()
    assert module(1) == 1


# --- printing ---------------------------------------------------------------------------------------------------------


def test_printed_like_pytorch() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential({"flat": nn.Flatten(), "fc": nn.Linear(4, 2, bias=False)}),
    )
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))\n"
        "  (1): ReLU()\n"
        "  (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  (3): Sequential(\n"
        "    (flat): Flatten(start_dim=1, end_dim=-1)\n"
        "    (fc): Linear(in_features=4, out_features=2, bias=False)\n"
        "  )\n"
        ")"
    )
    blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Tanh()])
    assert repr(blocks) == (
        "ModuleList(\n"
        "  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)\n"
        "  (2): Tanh()\n"
        ")"
    )  # fmt: skip


# --- containers -------------------------------------------------------------------------------------------------------


def test_sequential_and_list_are_sequences() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert net[-1] is net[2]
    assert len(net[:2]) == 2
    assert net[:2][0] is net[0]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    del net[1]
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    with pytest.raises(IndexError, match="2 entries"):
        net[2]
    blocks = nn.ModuleList([nn.Identity()])
    blocks.append(nn.ReLU()).extend([nn.Tanh()]).insert(1, nn.Sigmoid())
    blocks += [nn.Flatten()]
    assert [type(block).__name__ for block in blocks] == ["Identity", "Sigmoid", "ReLU", "Tanh", "Flatten"]


def test_module_dict_and_parameter_list() -> None:
    choices = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    choices["c"] = nn.Tanh()
    assert list(choices) == ["a", "b", "c"] == list(choices.keys())
    assert "b" in choices
    assert len(choices) == 3
    choices.pop("b")
    del choices["c"]
    assert [name for name, _ in choices.items()] == ["a"]
    choices.clear()
    assert not list(choices.values())
    params = nn.ParameterList([dc.zeros(1), nn.Parameter(dc.ones(2))])
    params.append(dc.zeros(3))
    params[0] = dc.ones(4)
    assert [param.shape for param in params] == [(4,), (2,), (3,)]
    assert len(params[1:]) == 2
    assert all(param.requires_grad for param in params.parameters())
