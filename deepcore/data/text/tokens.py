"""Text from a file, cut into characters or words."""

from __future__ import annotations

import re
from pathlib import Path

from deepcore.data.reading.damage import read_whole
from deepcore.data.reading.tables import decoded

LARGEST_BYTES = 2 << 30
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """The text of a file, with "\\n" at the ends of its lines.

    Raises DataError where it cannot be read, or is not of that encoding.
    """
    path = Path(path)
    return decoded(path, read_whole(path, LARGEST_BYTES), encoding).replace("\r\n", "\n")


def characters(text: str) -> list[str]:
    """The characters one by one."""
    return list(text)


def words(text: str, lower: bool = False) -> list[str]:
    """Words and punctuation marks; white space is left out. `lower`: in small letters.

    >>> words("It's late, isn't it?")
    ["It's", 'late', ',', "isn't", 'it', '?']
    """
    return WORD.findall(text.lower() if lower else text)
