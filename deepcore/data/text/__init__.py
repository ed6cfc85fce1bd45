"""Text as numbers: tokens, a vocabulary, and windows that a language model learns from."""

from __future__ import annotations

from deepcore.data.text.tokens import characters, read_text, words
from deepcore.data.text.vocabulary import Vocabulary
from deepcore.data.text.windows import TextWindows

__all__ = ["TextWindows", "Vocabulary", "characters", "read_text", "words"]
