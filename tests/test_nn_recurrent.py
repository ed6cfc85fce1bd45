"""RNN, LSTM, GRU and their cells as modules, packed sequences; attention with several heads."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.check.oracles import recurrent as oracles
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DeviceError, DTypeError, ShapeError
from deepcore.nn.utils import rnn as packing

LENGTHS = [2, 4, 1]
KINDS = [
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu"}),
    (nn.LSTM, {}),
    (nn.LSTM, {"peephole": True}),
    (nn.GRU, {}),
    (nn.GRU, {"reset_after": False}),
]
CELLS = [(nn.RNNCell, {}), (nn.LSTMCell, {"peephole": True}), (nn.GRUCell, {"reset_after": False})]
every_kind = pytest.mark.parametrize(("kind", "options"), KINDS, ids=[f"{k.__name__} {o}" for k, o in KINDS])


def host(tensor: dc.Tensor) -> np.ndarray:
    """The numbers of a tensor of any device."""
    return tensor.backend.to_host(tensor.array)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(math.prod(shape) + len(shape)).standard_normal(shape)


def listed(states: object) -> list:
    return list(states) if isinstance(states, tuple) else [states]


def expected(layer: nn.Module, x: np.ndarray, states: list[np.ndarray]) -> tuple:
    """Output and last states of all layers on one batch (T, N, D), by the oracles."""
    values = {name: host(p) for name, p in layer.named_parameters()}
    last: list[list] = [[] for _ in states]
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    numbers = itertools.count()
    for k in range(layer.num_layers):
        outputs = []
        for direction in directions:
            end = f"_l{k}{direction}"
            names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
            weights = [values.get(name + end) for name in names]
            at = next(numbers)
            start = [s[at] for s in states]
            reverse = bool(direction)
            if isinstance(layer, nn.LSTM):
                peephole = values.get("weight_peephole" + end)
                y, *ends = oracles.lstm(x, *start, *weights, peephole, reverse)
            elif isinstance(layer, nn.GRU):
                y, *ends = oracles.gru(x, *start, *weights, layer.reset_after, reverse)
            else:
                y, *ends = oracles.rnn(x, *start, *weights, layer.nonlinearity, reverse)
            outputs.append(y)
            for found, value in zip(last, ends, strict=True):
                found.append(value)
        x = np.concatenate(outputs, axis=-1)
    return x, [np.stack(found) for found in last]


def make(kind: type, device: str, **options: object) -> nn.Module:
    return kind(3, 2, num_layers=2, bidirectional=True, **options).to(device, dtype="float64")


def starts(kind: type, *lead: int) -> list[np.ndarray]:
    return [normal(*lead, 2) + k for k in range(2 if kind is nn.LSTM else 1)]


def hx(kind: type, states: list[np.ndarray], device: str) -> object:
    tensors = [dc.tensor(s, device=device) for s in states]
    return tuple(tensors) if kind is nn.LSTM else tensors[0]


# --- layers -----------------------------------------------------------------------------------------------------------


@every_kind
def test_two_layers_in_both_directions(kind: type, options: dict, device: str) -> None:
    layer, x, states = make(kind, device, **options), normal(4, 3, 3), starts(kind, 4, 3)
    y, last = layer(dc.tensor(x, device=device), hx(kind, states, device))
    right, ends = expected(layer, x, states)
    assert_close(host(y), right, "float64", 64)
    for a, b in zip(listed(last), ends, strict=True):
        assert_close(host(a), b, "float64", 64)


@every_kind
def test_zeros_batch_first_and_one_sequence(kind: type, options: dict, device: str) -> None:
    layer, x = make(kind, device, **options), normal(4, 3, 3)
    first = make(kind, device, batch_first=True, bias=True, **options)
    first.load_state_dict(layer.state_dict())
    right, ends = expected(layer, x, [np.zeros((4, 3, 2))] * len(starts(kind, 1)))
    y, last = first(dc.tensor(x.transpose(1, 0, 2).copy(), device=device))
    assert_close(host(y), right.transpose(1, 0, 2), "float64", 64)
    assert_close(host(listed(last)[0]), ends[0], "float64", 64)
    y, last = layer(dc.tensor(x[:, 1].copy(), device=device))
    assert_close(host(y), right[:, 1], "float64", 64)
    assert_close(host(listed(last)[0]), ends[0][:, 1], "float64", 64)


@every_kind
def test_packed_is_each_sequence_by_itself(kind: type, options: dict, device: str) -> None:
    layer, x, states = make(kind, device, **options), normal(4, 3, 3), starts(kind, 4, 3)
    packed = packing.pack_padded_sequence(dc.tensor(x, device=device), LENGTHS, enforce_sorted=False)
    y, last = layer(packed, hx(kind, states, device))
    padded, lengths = packing.pad_packed_sequence(y, padding_value=7.0)
    assert lengths.tolist() == LENGTHS
    for n, length in enumerate(LENGTHS):
        right, ends = expected(layer, x[:length, n : n + 1], [s[:, n : n + 1] for s in states])
        assert_close(host(padded)[:length, n], right[:, 0], "float64", 64)
        assert (host(padded)[length:, n] == 7).all()
        for a, b in zip(listed(last), ends, strict=True):
            assert_close(host(a)[:, n], b[:, 0], "float64", 64)


def test_parameters_are_named_and_drawn_as_in_pytorch() -> None:
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, peephole=True)
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole"]
    ends = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    assert list(layer.state_dict()) == [name + end for end in ends for name in names]
    assert layer.weight_ih_l0.shape == (16, 3)
    assert layer.weight_ih_l1.shape == (16, 8)
    assert layer.weight_peephole_l0.shape == (3, 4)
    for parameter in layer.parameters():
        assert 0.1 < abs(host(parameter)).max() <= 0.5
    assert [name for name, _ in nn.GRUCell(3, 4, bias=False).named_parameters()] == ["weight_ih", "weight_hh"]
    assert repr(nn.LSTM(3, 4, 2, batch_first=True)) == "LSTM(3, 4, num_layers=2, batch_first=True)"
    assert repr(nn.GRU(3, 4, bias=False, reset_after=False)) == "GRU(3, 4, bias=False, reset_after=False)"
    assert repr(nn.LSTMCell(3, 4, bias=False)) == "LSTMCell(3, 4, bias=False)"


def test_dropout_lies_between_layers_and_only_in_training() -> None:
    x = dc.ones(3, 2, 3)
    layer = nn.GRU(3, 8, num_layers=2, dropout=0.5)
    dc.manual_seed(1)
    first = host(layer(x)[0])
    assert not (host(layer(x)[0]) == first).all()
    layer.eval()
    assert (host(layer(x)[0]) == host(layer(x)[0])).all()
    with pytest.warns(UserWarning, match="there is only one"):
        nn.GRU(3, 8, dropout=0.5)


def test_a_layer_learns_to_remember() -> None:
    """The first number of a sequence, told at its end."""
    dc.manual_seed(0)
    layer, head = nn.LSTM(1, 8), nn.Linear(8, 1)
    optimiser = dc.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.03)
    x = dc.tensor(normal(5, 16, 1).astype("float32"))
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = ((head(layer(x)[1][0][0]) - x[0]) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(("kind", "options"), CELLS, ids=[k.__name__ for k, _ in CELLS])
def test_cells_are_one_step_of_the_layers(kind: type, options: dict, device: str) -> None:
    cell = kind(3, 2, **options).to(device, dtype="float64")
    layer = {nn.RNNCell: nn.RNN, nn.LSTMCell: nn.LSTM, nn.GRUCell: nn.GRU}[kind](3, 2, **options)
    layer.to(device, dtype="float64").load_state_dict({f"{k}_l0": v for k, v in cell.state_dict().items()})
    x = dc.tensor(normal(5, 3), device=device)
    for rows in (x, x[0]):
        first = cell(rows)
        second = listed(cell(rows, first))
        steps = dc.stack([rows, rows])
        last = listed(layer(steps)[1])
        for a, b in zip(second, last, strict=True):
            assert_close(host(a), host(b)[0], "float64", 16)


# --- packing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[4, 2, 1], [2, 4, 1], [3, 3, 3]])
def test_packing_and_back(batch_first: bool, lengths: list[int], device: str) -> None:
    x = normal(*((3, 4, 2) if batch_first else (4, 3, 2)))
    tensor = dc.tensor(x, device=device, requires_grad=True)
    packed = packing.pack_padded_sequence(tensor, lengths, batch_first, enforce_sorted=False)
    order = sorted(range(3), key=lambda n: -lengths[n])
    rows = [x[n, t] if batch_first else x[t, n] for t in range(4) for n in order if lengths[n] > t]
    assert (host(packed.data) == np.stack(rows)).all()
    assert packed.batch_sizes.tolist() == [sum(n > t for n in lengths) for t in range(max(lengths))]
    padded, found = packing.pad_packed_sequence(packed, batch_first, total_length=4)
    assert found.tolist() == lengths
    mask = np.arange(4)[:, None] < np.array(lengths)
    mask = (mask.T if batch_first else mask)[..., None]
    assert (host(padded) == x * mask).all()
    padded.sum().backward()
    assert (host(tensor.grad) == np.broadcast_to(mask, x.shape)).all()
    moved = packed.to("numpy")
    assert moved.data.device == moved.sorted_indices.device == "numpy"


def test_sequences_of_a_list() -> None:
    sequences = [dc.tensor(normal(n, 2)) for n in (2, 3, 1)]
    padded = packing.pad_sequence(sequences, batch_first=True, padding_value=9.0)
    assert padded.shape == (3, 3, 2)
    assert (host(padded)[2, 1:] == 9).all()
    left = packing.pad_sequence(sequences, padding_side="left")
    assert (host(left)[2, 2] == host(sequences[2])[0]).all()
    for back in (
        packing.unpad_sequence(padded, [2, 3, 1], batch_first=True),
        packing.unpack_sequence(packing.pack_sequence(sequences, enforce_sorted=False)),
    ):
        assert all((host(a) == host(b)).all() for a, b in zip(back, sequences, strict=True))


# --- attention --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_several_heads(masked: bool, device: str) -> None:
    layer = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True, add_zero_attn=True).to(
        device, dtype="float64"
    )
    values = {name: normal(*p.shape) for name, p in layer.named_parameters()}
    layer.load_state_dict(values)
    given = q, k, v = normal(2, 3, 4), normal(2, 6, 3), normal(2, 6, 5)
    hidden = np.arange(18).reshape(3, 6) % 4 == 1
    padding = np.array([[False] * 6, [False] * 4 + [True] * 2])
    masks = {"attn_mask": hidden, "key_padding_mask": padding} if masked else {}
    tensors = {name: dc.tensor(m, device=device) for name, m in masks.items()}
    y, weights = layer(*(dc.tensor(a, device=device) for a in (q, k, v)), average_attn_weights=False, **tensors)

    biases = values["in_proj_bias"].reshape(3, 4)
    names = ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    q, k, v = (a @ values[name].T + b for a, name, b in zip((q, k, v), names, biases, strict=True))
    k, v = (np.concatenate([a, np.zeros((2, 1, 4))], axis=1) for a in (k, v))
    seen = ~(hidden | padding[:, None]) if masked else np.ones((2, 3, 6), dtype=bool)
    seen = np.concatenate([seen, np.ones((2, 3, 1), dtype=bool)], axis=2)
    heads = []
    for h in range(2):
        part = slice(2 * h, 2 * h + 2)
        scores = np.einsum("nle,nse->nls", q[..., part], k[..., part]) / math.sqrt(2)
        context, right = oracles.attend(scores, v[..., part], seen)
        assert_close(host(weights)[:, h], right, "float64", 32)
        heads.append(context)
    right = np.concatenate(heads, axis=-1) @ values["out_proj.weight"].T + values["out_proj.bias"]
    assert_close(host(y), right, "float64", 64)
    alone = layer(*(dc.tensor(a, device=device) for a in given), need_weights=False, **tensors)[0]
    assert_close(host(alone), right, "float64", 64)


def test_attention_of_one_sequence_to_itself() -> None:
    layer = nn.MultiheadAttention(4, 2, dropout=0.5).to(dtype="float64")
    x = dc.tensor(normal(3, 1, 4))
    y, weights = layer(x, x, x)
    layer.eval()
    alone, none = layer(x[:, 0], x[:, 0], x[:, 0], need_weights=False)
    assert none is None
    assert weights.shape == (1, 3, 3)
    assert not np.allclose(host(y)[:, 0], host(alone))
    assert_close(host(layer(x, x, x)[0])[:, 0], host(alone), "float64", 16)
    blind = layer(x, x, x, attn_mask=dc.tensor(np.ones((3, 3), dtype=bool)))
    assert (host(blind[1]) == 0).all()
    assert_close(host(blind[0])[:, 0], np.tile(host(layer.out_proj.bias), (3, 1)), "float64")


# --- what is refused --------------------------------------------------------------------------------------------------


def test_bad_arguments() -> None:
    x, layer, cell = dc.ones(4, 3, 2), nn.LSTM(2, 5), nn.GRUCell(2, 5)
    attention = nn.MultiheadAttention(4, 2)
    q = dc.ones(3, 1, 4)
    several = [
        (ConfigError, "RNN: .*hidden_size", lambda: nn.RNN(2, 0)),
        (ConfigError, "RNN: .*tanh, relu", lambda: nn.RNN(2, 3, nonlinearity="sigmoid")),
        (ConfigError, "LSTM: .*proj_size", lambda: nn.LSTM(2, 3, proj_size=2)),
        (ShapeError, r"LSTM: .*D = 2; got .*\(4, 3, 7\)", lambda: layer(dc.ones(4, 3, 7))),
        (ShapeError, "LSTM: .*at least one step", lambda: layer(x[:0])),
        (ShapeError, "LSTM: .*pair", lambda: layer(x, dc.ones(1, 3, 5))),
        (ShapeError, r"LSTM: .*\(1, 3, 5\); got .*hx\[1\] \(1, 2, 5\)", lambda: layer(x, (x[:1], dc.ones(1, 2, 5)))),
        (ShapeError, r"GRUCell: .*D = 2", lambda: cell(x)),
        (ShapeError, r"GRUCell: .*\(3, 5\)", lambda: cell(x[0], dc.ones(2, 5))),
        (DTypeError, r"lstm: .*float64", lambda: layer(x.double())),
        (ShapeError, "3 lengths", lambda: packing.pack_padded_sequence(x, [4, 2])),
        (ShapeError, "from 1 to 4", lambda: packing.pack_padded_sequence(x, [5, 2, 1])),
        (ConfigError, "enforce_sorted=False", lambda: packing.pack_padded_sequence(x, [1, 2, 3])),
        (DeviceError, "on the host", lambda: packing.pack_padded_sequence(x, dc.tensor([3, 2, 1], device="strict"))),
        (
            ShapeError,
            "at least 4",
            lambda: packing.pad_packed_sequence(packing.pack_padded_sequence(x, [4, 2, 1]), total_length=3),
        ),
        (ShapeError, "first axis", lambda: packing.pad_sequence([x, dc.ones(2, 2)])),
        (ConfigError, "right", lambda: packing.pad_sequence([x], padding_side="top")),
        (ConfigError, "divisible", lambda: nn.MultiheadAttention(4, 3)),
        (ShapeError, r"E, kdim, vdim = \(4, 4, 4\)", lambda: attention(q, q, x)),
        (ShapeError, r"attn_mask \(3, 3\)", lambda: attention(q, q, q, attn_mask=dc.ones(2, 2))),
        (ShapeError, r"key_padding_mask \(1, 3\)", lambda: attention(q, q, q, key_padding_mask=dc.ones(2, 2))),
        (DTypeError, "bool or floating", lambda: attention(q, q, q, attn_mask=dc.ones(3, 3).to("int64"))),
        (ConfigError, "is_causal", lambda: attention(q, q, q, is_causal=True)),
        (
            DeviceError,
            "attn_mask on the device",
            lambda: dc.scaled_dot_product_attention(q, q, q, dc.ones(1, 1, device="strict") > 0),
        ),
    ]
    for error, match, call in several:
        with pytest.raises(error, match=match):
            call()
