"""Reading the head of a request: the few fields that the gateway acts on, and what is wrong with them, by name."""

from __future__ import annotations

import re
from typing import Protocol, TypeVar

import msgspec

from ratchet.dialects.decoding import mended
from ratchet.errors import InvalidRequest

__all__ = ["counted", "read_head"]


class _Head(Protocol):
    @property
    def model(self) -> str: ...


_Kind = TypeVar("_Kind", bound=_Head)

_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def read_head(body: bytes, decoder: msgspec.json.Decoder[_Kind], needed: str) -> _Kind:
    """The head. Raises InvalidRequest, naming the field, where the body can't be one.

    `needed` says what a body must hold, for the advice in an error: "`model` and `input`".
    """
    try:
        try:
            head = decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            head = decoder.decode(mended(body))  # read so; what goes upstream stays as it came
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error), needed) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(body, error, needed) from error
    if not head.model:
        raise _no_model()
    return head


def counted(value: object) -> int | None:
    """A count of tokens that a caller set; None for what is none, which is the provider's to complain of."""
    if type(value) is not int:
        if not isinstance(value, float) or not value.is_integer():
            return None
        value = int(value)
    return value if value >= 0 else None


def _no_model() -> InvalidRequest:
    return InvalidRequest(
        "The request names no model.",
        "Set `model` to a route, or to `provider/model`; GET /v1/models lists both.",
        code="missing_required_parameter",
        param="model",
    )


def _wrong_field(problem: str, needed: str) -> InvalidRequest:
    """msgspec's sentence, "Expected `str`, got `int` - at `$.model`", in ours."""
    match = _PATH.match(problem)
    path = match["path"] if match and match["path"] else ""
    what = match["problem"] if match else problem
    if not path and "missing required field" in what:
        return _no_model()
    if not path:
        return InvalidRequest(
            f"The request body must be a JSON object: {_lower(what)}.", f"Send one with {needed}."
        )
    field = path.split(".", 1)[0].split("[", 1)[0]
    return InvalidRequest(
        f"`{path.replace('[...]', '.*')}` in the request body has the wrong type: {_lower(what)}.",
        "`metadata` holds text values only."
        if field == "metadata"
        else f"Correct `{field}` and send it again.",
        code="invalid_type",
        param=field,
    )


def _not_json(body: bytes, error: Exception, needed: str) -> InvalidRequest:
    if not body.strip():
        return InvalidRequest("The request body is empty.", f"Send a JSON object with {needed}.")
    if isinstance(error, RecursionError):
        return InvalidRequest("The request body is nested too deeply.", "Send a flatter JSON object.")
    return InvalidRequest(
        f"The request body is not JSON: {str(error).removeprefix('JSON is malformed: ').lower()}.",
        f"Send a JSON object with {needed}.",
        code="invalid_json",
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
