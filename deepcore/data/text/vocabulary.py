"""Tokens by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from deepcore.errors import ConfigError, DataError, IndexRangeError, message, nearest


class Vocabulary:
    """The different tokens of a text, numbered: first `specials`, then the others, the most frequent first.

    Tokens that are equally frequent stand in alphabetical order. min_freq: how often a token must occur to be counted
    in; max_size: how many there are at most, `specials` included. unknown: the special token that stands for all that
    are left out; without it, encoding an unknown token is an error.

    >>> vocabulary = Vocabulary("hello world", specials=["<unk>"], unknown="<unk>")
    >>> len(vocabulary), vocabulary.encode("hold!").tolist(), vocabulary.decode([6, 2])
    (9, [6, 2, 1, 4, 0], ['h', 'o'])
    """

    def __init__(
        self,
        tokens: Iterable[str],
        *,
        min_freq: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = (),
        unknown: str | None = None,
    ):
        if type(min_freq) is not int or min_freq < 1:
            raise ConfigError(message("Vocabulary", "min_freq of at least 1", f"min_freq={min_freq!r}"))
        if max_size is not None and (type(max_size) is not int or max_size < len(specials)):
            raise ConfigError(message("Vocabulary", "max_size of at least the specials", f"max_size={max_size!r}"))
        if len(set(specials)) < len(specials):
            raise ConfigError(message("Vocabulary", "specials that differ", f"{list(specials)!r}"))
        if unknown is not None and unknown not in specials:
            raise ConfigError(message("Vocabulary", "unknown as one of the specials", f"unknown={unknown!r}"))
        counts = Counter(tokens)
        for special in specials:
            counts.pop(special, None)
        found = sorted((token for token in counts if counts[token] >= min_freq), key=lambda t: (-counts[t], t))
        self._fill([*specials, *found][:max_size], unknown)

    def _fill(self, tokens: Sequence[str], unknown: str | None) -> None:
        self.tokens, self.unknown = tuple(tokens), unknown
        self.index = {token: number for number, token in enumerate(self.tokens)}

    @classmethod
    def from_tokens(cls, tokens: Sequence[str], unknown: str | None = None) -> Vocabulary:
        """The vocabulary with exactly these tokens, in this order, as `tokens` of another one gave them."""
        made = cls((), specials=tokens, unknown=unknown)
        return made

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.index

    def __getitem__(self, token: str) -> int:
        if (found := self.index.get(token)) is not None:
            return found
        if self.unknown is None:
            hint = nearest(token, self.tokens).strip() or "specials=['<unk>'], unknown='<unk>' gives it a number"
            raise DataError(message("Vocabulary", f"one of its {len(self):,} tokens", repr(token), hint))
        return self.index[self.unknown]

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """(T,) int64, the number of each token. Raises DataError for an unknown one, where none stands for it."""
        numbers = self.index
        try:
            if self.unknown is None:
                return np.fromiter((numbers[token] for token in tokens), np.int64)
            other = numbers[self.unknown]
            return np.fromiter((numbers.get(token, other) for token in tokens), np.int64)
        except KeyError as error:
            self[error.args[0]]  # raises, with what can be done about it
            raise

    def decode(self, numbers: Iterable[int] | np.ndarray) -> list[str]:
        """The tokens of these numbers. Raises IndexRangeError for a number that none has."""
        found = np.asarray(list(numbers) if not hasattr(numbers, "__array__") else numbers).reshape(-1)
        if found.size and (found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= len(self)):
            worst = found[(found < 0) | (found >= len(self))] if found.dtype.kind in "iu" else found
            raise IndexRangeError(message("Vocabulary", f"numbers from 0 to {len(self) - 1}", f"{worst[:1].tolist()}"))
        return [self.tokens[number] for number in found.tolist()]
