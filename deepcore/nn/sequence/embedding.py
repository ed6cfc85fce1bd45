"""Embedding: a table of learned vectors, one an integer."""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.autograd import no_grad
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.nn import args, init
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


class Embedding(Module):
    """The rows that integers name: (...) -> (..., embedding_dim).

    weight (num_embeddings, embedding_dim): normal with variance 1; the row `padding_idx` is 0 and gets no gradient.
    PyTorch's max_norm, scale_grad_by_freq and sparse are left out.

    >>> import deepcore as dc
    >>> Embedding(10, 3)(dc.tensor([[1, 2], [4, 5]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = args.integer("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = args.integer("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            expected = f"-{num_embeddings} <= padding_idx < {num_embeddings}"
            raise ConfigError(message("Embedding", expected, f"padding_idx={padding_idx}"))
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter(creation.empty(shape, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A module with these rows (V, D); with `freeze` they are not trained."""
        if len(embeddings.shape) != 2:
            raise ShapeError(message("Embedding.from_pretrained", "embeddings (V, D)", got(embeddings=embeddings)))
        out = cls(*embeddings.shape, padding_idx, device=embeddings.backend.device, dtype=embeddings.dtype)
        out.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return out

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
