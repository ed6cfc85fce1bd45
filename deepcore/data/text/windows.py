"""A long text in pieces for a language model: each token is to be predicted from those before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.data.dataset import Dataset
from deepcore.errors import ConfigError, DataError, message


class TextWindows(Dataset):
    """`dataset[i]` is (input (T,), target (T,)) int64: a window of the text, and the same moved on by one token.

    tokens: (L,) numbers, as `Vocabulary.encode` gives them. length: T. stride: from one window to the next, `length`
    unless told, so that every token is predicted once; what is left at the end is left out.

    >>> windows = TextWindows(np.arange(10), length=3)
    >>> [(x.tolist(), y.tolist()) for x, y in (windows[i] for i in range(len(windows)))]
    [([0, 1, 2], [1, 2, 3]), ([3, 4, 5], [4, 5, 6]), ([6, 7, 8], [7, 8, 9])]
    """

    batched = True

    def __init__(self, tokens: Any, length: int, stride: int | None = None):
        stride = length if stride is None else stride
        for name, value in (("length", length), ("stride", stride)):
            if type(value) is not int or value < 1:
                raise ConfigError(
                    message("TextWindows", f"{name} as a whole number of at least 1", f"{name}={value!r}")
                )
        self.tokens = np.asarray(tokens)
        if self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            found = f"{self.tokens.shape} {self.tokens.dtype}"
            raise DataError(
                message("TextWindows", "tokens (L,) as whole numbers", found, "Vocabulary.encode gives them")
            )
        if len(self.tokens) <= length:
            raise DataError(message("TextWindows", f"more than {length} tokens", f"{len(self.tokens)}"))
        self.tokens = self.tokens.astype(np.int64, copy=False)
        self.length, self.stride = length, stride

    def __len__(self) -> int:
        return (len(self.tokens) - 1 - self.length) // self.stride + 1

    def __getitem__(self, index: Any) -> tuple[np.ndarray, np.ndarray]:
        starts = np.arange(len(self))[index] * self.stride
        places = np.asarray(starts)[..., None] + np.arange(self.length)
        return self.tokens[places], self.tokens[places + 1]
