"""Porter's stemmer (1980) as nltk has it. A module of its own, because nltk takes more than a second to load."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nltk.stem.porter import PorterStemmer

__all__ = ["Stemmer"]

_porter: Any = PorterStemmer()


class Stemmer:
    """What rouge-score asks for, with a memory: the words of a language are few."""

    @staticmethod
    @lru_cache(maxsize=100_000)
    def stem(word: str) -> str:
        return str(_porter.stem(word))
