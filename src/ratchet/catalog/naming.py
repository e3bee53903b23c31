"""One model has many names: providers put accounts, regions, dates and versions around it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["Names", "plain_name"]

# Bedrock's names: a region, then the maker, then the model with a version of the packaging behind it.
_REGION = re.compile(r"^(?:us|eu|apac|global)\.")
_MAKER = re.compile(r"^(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|mistral|openai|qwen)\.")
_PACKAGING = re.compile(r"-v\d+:\d+$")
_OTHER = re.compile(r"[^0-9a-z]+")
_DATE = re.compile(r"-(?:20\d\d-?[01]\d-?[0-3]\d|latest)$")


def plain_name(name: str) -> str:
    """`name` in small letters and digits with single dashes between, without an account, a region or packaging.

    `meta-llama/Llama-3.1-8B-Instruct` becomes `llama-3-1-8b-instruct`, `us.amazon.nova-micro-v1:0` `nova-micro`.
    """
    text = name.strip().rsplit("/", 1)[-1].casefold()
    text = _PACKAGING.sub("", _MAKER.sub("", _REGION.sub("", text)))
    return _OTHER.sub("-", text).strip("-")


class Names:
    """Which of some names another name means."""

    def __init__(self, names: Iterable[str]) -> None:
        self._plain: dict[str, str] = {}
        self._undated: dict[str, list[str]] = {}
        for name in names:
            plain = plain_name(name)
            self._plain[plain] = name
            self._undated.setdefault(_DATE.sub("", plain), []).append(name)

    def match(self, name: str) -> str | None:
        """The one name that is meant; None where it is none of them, or could be several.

        A date stands on one side or on neither: two different dates are two models.
        """
        plain = plain_name(name)
        if plain in self._plain:
            return self._plain[plain]
        undated = _DATE.sub("", plain)
        if undated != plain:
            return self._plain.get(undated)
        dated = self._undated.get(plain, [])
        return dated[0] if len(dated) == 1 else None

    def near(self, name: str, count: int) -> list[str]:
        """The names that look most like it, best first; often none."""
        found = difflib.get_close_matches(plain_name(name), list(self._plain), n=count, cutoff=0.6)
        return [self._plain[each] for each in found]
