"""Which language a user writes, where the app doesn't say. Loaded by whoever drains the spool, never by a gateway."""

from __future__ import annotations

import functools
from typing import cast

from py3langid.langid import MODEL_FILE, LanguageIdentifier

__all__ = ["language_of"]

_CHARACTERS = 160  # the first of a text tell as well as all of it, and reading costs 0.4 µs each
_SURE = 0.35  # below it the guess is mostly wrong: names, greetings, code
_NO_LANGUAGE = frozenset({"zxx", "ext"})  # the model's words for what isn't one


def language_of(text: str) -> str:
    """The language's ISO 639 code, such as "de"; "" where `text` is too short to tell, or code.

    By py3langid: naive Bayes over byte n-grams (Lui & Baldwin, langid.py, ACL 2012), 139 languages, offline. Its model
    takes 80 MB and half a second, at the first text.
    """
    return _told(text[:_CHARACTERS])


@functools.lru_cache(maxsize=4096)  # greetings and buttons' texts are said again and again
def _told(text: str) -> str:
    if not any(map(str.isalpha, text)):
        return ""
    language, share = cast("tuple[str, float]", _identifier().classify(text))  # its own types are unknown
    return "" if share < _SURE or language in _NO_LANGUAGE else language


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
