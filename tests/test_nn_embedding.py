"""nn.Embedding, and what the op database does not say about indexing and linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import linalg, nn
from deepcore.check.cases import linear_algebra
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, LinAlgError, ShapeError

RNG = np.random.default_rng(11)


def host(tensor: dc.Tensor) -> np.ndarray:
    """The numbers of a tensor of any device."""
    return tensor.backend.to_host(tensor.array)


# --- the module -------------------------------------------------------------------------------------------------------


def test_embedding_takes_rows_and_trains_them(device: str) -> None:
    module = nn.Embedding(5, 3, padding_idx=-1).to(device)
    weight = host(module.weight)
    assert weight.shape == (5, 3)
    np.testing.assert_array_equal(weight[4], 0)
    index = np.array([[1, 4], [1, 0]])
    y = module(dc.tensor(index, device=device))
    np.testing.assert_array_equal(host(y), weight[index])
    y.sum().backward()
    np.testing.assert_array_equal(host(module.weight.grad), np.array([[1.0], [2], [0], [0], [0]]) * np.ones(3))


def test_embedding_starts_normal() -> None:
    dc.manual_seed(0)
    weight = host(nn.Embedding(200, 50).weight)
    assert abs(weight.mean()) < 0.05
    assert abs(weight.std() - 1) < 0.05


def test_embedding_from_pretrained() -> None:
    rows = dc.tensor(RNG.standard_normal((4, 2)))
    module = nn.Embedding.from_pretrained(rows)
    assert not module.weight.requires_grad
    assert module.weight.dtype == rows.dtype
    np.testing.assert_array_equal(host(module(dc.tensor([3]))), host(rows)[[3]])
    assert nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=1).weight.requires_grad
    assert repr(nn.Embedding(4, 2, padding_idx=-1)) == "Embedding(4, 2, padding_idx=3)"


def test_embedding_refuses() -> None:
    with pytest.raises(ConfigError, match="num_embeddings"):
        nn.Embedding(0, 3)
    with pytest.raises(ConfigError, match="padding_idx=5"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        nn.Embedding.from_pretrained(dc.zeros(4))


# --- indexing ---------------------------------------------------------------------------------------------------------


def test_methods_are_the_functions(device: str) -> None:
    x = dc.tensor(RNG.standard_normal((3, 3)), device=device)
    index = dc.tensor([[2, 0, 1]], device=device)
    row = dc.tensor([0, 2], device=device)
    pairs = [
        (x.gather(0, index), dc.gather(x, 0, index)),
        (x.scatter(0, index, 1.0), dc.scatter(x, 0, index, 1.0)),
        (x.scatter_add(0, index, x), dc.scatter_add(x, 0, index, x)),
        (x.take_along_dim(index, 0), dc.take_along_dim(x, index, 0)),
        (x.index_select(1, row), dc.index_select(x, 1, row)),
        (x.index_add(0, row, x[:2], alpha=2), dc.index_add(x, 0, row, x[:2], alpha=2)),
        (x.masked_fill(x > 0, 0), dc.masked_fill(x, x > 0, 0)),
        (x.masked_select(x > 0), x[x > 0]),
        (x.nonzero(), dc.nonzero(x)),
        (x.sort(0, descending=True)[0], dc.sort(x, 0, True)[0]),
        (x.argsort(), dc.argsort(x)),
        (x.topk(2)[1], dc.argsort(x, descending=True)[:, :2]),
        (x.unique(), dc.unique(x)),
        (x.cumprod(1), dc.cumprod(x, 1)),
        (x.roll(1, 0), dc.roll(x, 1, 0)),
        (x.tril() + x.triu() - x.diag().diag(), x),
        (x.diagonal().sum(), x.trace()),
        (x.repeat(2, 1), dc.cat([x, x])),
        (x.tile(2), dc.cat([x, x], 1)),
        (x.repeat_interleave(2, 0)[::2], x),
        (x.unsqueeze(0).bmm(x.unsqueeze(0))[0], x @ x),
        (x[0].outer(x[1]), dc.outer(x[0], x[1])),
    ]
    for one, other in pairs:
        np.testing.assert_array_equal(host(one), host(other))


def test_an_index_is_a_tensor() -> None:
    x = dc.zeros(2, 2)
    calls = [
        lambda: x.gather(0, [[0]]),
        lambda: x.scatter(0, [[0]], 1.0),
        lambda: x.scatter_add(0, dc.tensor([[0]]), 1.0),
        lambda: x.take_along_dim(0, 1),
        lambda: x.index_select(0, [0]),
        lambda: x.index_add(0, dc.tensor([0]), 1.0),
        lambda: dc.embedding([0], x),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"to be a Tensor; got .*Hint"):
            call()


def test_an_index_is_on_the_same_device() -> None:
    with pytest.raises(dc.errors.DeviceError, match="strict"):
        dc.zeros(2, 2).index_select(0, dc.tensor([0], device="strict"))
    with pytest.raises(dc.errors.DeviceError, match="strict"):
        dc.zeros(2, 2).gather(0, dc.tensor([[0]], device="strict"))


def test_integers_add_up_at_negative_values_too() -> None:
    x = dc.tensor(np.array([1, -5], np.int8))
    added = x.scatter_add(0, dc.tensor([0, 0, 1]), dc.tensor(np.array([-3, -4, 2], np.int8)))
    assert added.dtype == np.int8
    np.testing.assert_array_equal(host(added), [-6, -3])


def test_a_diagonal_is_a_view() -> None:
    x = dc.zeros(2, 2)
    assert x.backend.shares_memory(x.diagonal().array, x.array)


def test_a_repetition_is_a_copy() -> None:
    x = dc.zeros(1, 2)
    for y in (x.repeat(1, 1), x.repeat(3, 1), x.repeat_interleave(1, 0), x.tile(1)):
        assert not x.backend.shares_memory(y.array, x.array)


def test_cumprod_is_exact_where_elements_are_zero() -> None:
    x = dc.tensor([2.0, 0.0, 3.0, 0.0], requires_grad=True)
    x.cumprod(0).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [1, 8, 0, 0])


# --- linear algebra ---------------------------------------------------------------------------------------------------


def test_every_function_of_linalg_has_an_entry() -> None:
    covered = {case.name.removeprefix("linalg.") for case in linear_algebra.CASES}
    assert set(linalg.__all__) - covered == {"LinAlgError"}
    assert dc.linalg is linalg


def test_det_has_a_gradient_where_the_matrix_is_singular(device: str) -> None:
    """It is the matrix of cofactors."""
    a = dc.tensor(np.array([[1.0, 2.0], [2.0, 4.0]]), device=device, requires_grad=True)
    linalg.det(a).backward()
    assert_close(host(a.grad), np.array([[4.0, -2.0], [-2.0, 1.0]]), "float64", 8)


def test_norm_has_the_gradient_zero_at_zero(device: str) -> None:
    x = dc.zeros(3, device=device, requires_grad=True)
    (linalg.norm(x) + linalg.vector_norm(x, 3)).backward()
    np.testing.assert_array_equal(host(x.grad), 0)


def test_norm_of_large_halves_is_finite() -> None:
    x = dc.tensor(np.array([300.0, 400.0], np.float16))
    assert linalg.norm(x).item() == 500


def test_backward_through_a_singular_logarithm_is_an_error() -> None:
    a = dc.ones(2, 2, requires_grad=True)
    sign, logarithm = linalg.slogdet(a)
    assert (sign.item(), logarithm.item()) == (0, -np.inf)
    with pytest.raises(LinAlgError, match="singular"):
        logarithm.backward()


def test_the_space_beyond_the_rank_has_no_gradient() -> None:
    a = dc.tensor(RNG.standard_normal((3, 2)), requires_grad=True)
    with pytest.raises(dc.errors.GraphError, match="reduced"):
        linalg.qr(a, "complete")[0].sum().backward()
    with pytest.raises(dc.errors.GraphError, match="reduced"):
        linalg.qr(a, "r")[1].sum().backward()
    linalg.svd(a)[0][:, 2].sum().backward()
    np.testing.assert_array_equal(host(a.grad), 0)
