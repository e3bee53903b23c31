"""How many tokens a request is, before a provider has counted them. Pure, and a few microseconds.

A token is worth about four characters of English, and less than one of Armenian. So characters are counted by script and
weighed. The weights are a non-negative least-squares fit of relative error over paragraphs in 50 languages, code,
JSON and numbers. What was fitted is the geometric mean of two counts, by o200k_base (OpenAI since GPT-4o) and by
cl100k_base (before): no other single number has a smaller largest ratio to both. Of Latin script the two differ by a
factor of 1.4 at most, of Greek, Hebrew and Devanagari by 2 to 3, so what is estimated there is up to 1.8 times too much
for the one and too little for the other. `tests/test_estimate.py` holds the counts, and compares with the usage that
providers reported.

Nothing is decoded: one pass of `bytes.translate` leaves one byte of each character that isn't ASCII, its first.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

__all__ = ["estimate_and_bound", "estimate_tokens", "tokens_of_text", "upper_bound_tokens"]

_LETTERS = bytes((*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)))
_SPACES = b" \t\r\n"  # part of the word that follows
_DIGITS = b"0123456789"
_ASCII = bytes(range(0x80))
_NOT_ASCII = bytes(range(0x80, 0x100))
_NOT_FIRST = _ASCII + bytes(range(0x80, 0xC0))

# Tokens a character.
_LETTER = 0.26
_DIGIT = 0.64
_MARK = 0.47  # punctuation, brackets, quotes
_VIETNAMESE = 0.1  # a letter with two marks; those with one are in C3 to C6
# By the first byte of the character's UTF-8. What most text is made of stands first.
_SCRIPTS: tuple[tuple[bytes, float], ...] = (
    (bytes(range(0xC2, 0xC9)), 1.6),  # Latin letters with a mark, « » ° §
    (bytes((0xE2,)), 0.8),  # typographic punctuation, arrows, currencies, mathematics
    (bytes(range(0xD0, 0xD5)), 0.48),  # Cyrillic
    (bytes(range(0xE4, 0xEA)), 0.98),  # Han
    (bytes((0xE3,)), 0.8),  # Kana, and East Asian punctuation
    (bytes(range(0xEA, 0xEE)), 0.92),  # Hangul
    (bytes(range(0xD8, 0xDC)), 0.6),  # Arabic
    (bytes((0xE0,)), 0.7),  # Devanagari and the other scripts of India, Thai, Lao
    (bytes((0xCE, 0xCF)), 0.67),  # Greek
    (bytes((0xD6, 0xD7)), 0.78),  # Hebrew, Armenian
    (bytes((0xE1,)), 0.9),  # Georgian, Khmer, Amharic, polytonic Greek; Vietnamese is told apart
    (bytes(range(0xF0, 0xF5)), 2.1),  # emoji, rare Han
)
_OTHER = 1.0

# A request is JSON around its texts, and the model sees little of that. Fitted to 50 recorded requests whose whole input
# was in their body.
_QUOTE = -0.69
_NAME = -2.0  # of a field: `"name":`
_MESSAGE = 3.0  # a role and what separates it
_CLAUDE_TOOLS = 330  # what Anthropic puts in front of an app's tools
_MEDIUM = 1000  # an image: 765 tokens at OpenAI for a square megapixel, 1,334 at Anthropic
_URL = b'"image_url":'
_ROLE = b'"role"'
_MESSAGES = b'"messages"'

_SMALL = 4096  # bytes: what a shorter body holds in base64 is not worth looking for
_LONG_VALUE = 512  # bytes without a space, from which on a value is not text
_UNSEEN = (b'"encrypted_content":', b'"signature":')  # of a thought: a provider counts it rarely
_DATA_URL = b";base64,"
_MARKS = (_DATA_URL, b'"data":', *_UNSEEN)
_MANY_ESCAPES = 120  # one `\u` in so many bytes is a twentieth of them

# The dearest that a single medium and the declaration of tools are known to be.
_DEAREST_IMAGE = 5_000
_TOOL_PROMPT = 700  # Anthropic puts 159 to 676 tokens of its own in front of an app's tools
_PER_MESSAGE = 8
_PER_REQUEST = 16


class _Medium(msgspec.Struct, frozen=True, gc=False):
    """A value in base64, of `size` bytes, or an image somewhere else. A sealed thought is not `seen` by the model."""

    size: int
    image: bool
    address: bool
    seen: bool


def estimate_tokens(body: bytes) -> int:
    """The tokens of a request's body, in any of the dialects an app may speak. At least 1.

    An image counts 1,000, wherever it lies. A document that is only named (a URL, a file's id, an earlier response)
    counts no more than its name.
    """
    return estimate_and_bound(body)[0]


def upper_bound_tokens(body: bytes) -> int:
    """No provider counts more for this request than this, as long as all of it is in the body.

    Every vocabulary here works on bytes and falls back to single ones, so a text of n bytes has n tokens at most. What
    lies elsewhere (a URL's document, a file's id, an earlier response, what a provider's own search finds) is unknown.
    """
    return estimate_and_bound(body)[1]


def estimate_and_bound(body: bytes) -> tuple[int, int]:
    """`estimate_tokens` and `upper_bound_tokens`, at little more than the price of one."""
    media: Sequence[_Medium] = ()
    if len(body) > _SMALL:
        body, media = _without_media(body)
    text = _unescaped(body) if b"\\" in body else body
    weight, others = _weighed(text)
    messages = body.count(_ROLE)
    if text is not body:
        others = body.translate(None, _LETTERS)
    # Where letters are left out, `"Dear Ada: …"` is no name of a field, but `"Ada: …"` is taken for one: it is 2 tokens.
    weight += _QUOTE * others.count(b'"') + _NAME * others.count(b'":') + _MESSAGE * messages
    most = len(body) + _PER_MESSAGE * messages + _PER_REQUEST
    # Beside the list of messages there is another: of tools, or of a message's parts.
    if others.count(b"[") > 1 or _MESSAGES not in body:
        if b'"tools"' in body:
            most += _TOOL_PROMPT
            if b'"input_schema"' in body:
                weight += _CLAUDE_TOOLS
        media = _with_addresses(body, media)
    estimated = max(1, round(weight))
    if media:
        estimated += _MEDIUM * sum(one.seen for one in media)
        most += sum(min(one.size, _DEAREST_IMAGE) if one.image else one.size for one in media)
    return estimated, most


def tokens_of_text(text: bytes) -> int:
    """The tokens of a text in UTF-8 with nothing around it."""
    return round(_weight(text))


def _weight(text: bytes) -> float:
    return _weighed(text)[0]


def _weighed(text: bytes) -> tuple[float, bytes]:
    """The tokens of a text, and what of it is ASCII and no letter."""
    plain = text if text.isascii() else text.translate(None, _NOT_ASCII)
    others = plain.translate(None, _LETTERS)
    marks_and_digits = others.translate(None, _SPACES)
    marks = len(marks_and_digits.translate(None, _DIGITS))
    total = _LETTER * (len(plain) - len(others)) + _DIGIT * (len(marks_and_digits) - marks) + _MARK * marks
    return total if plain is text else total + _foreign(text), others


def _foreign(text: bytes) -> float:
    """The tokens of what is not ASCII."""
    total = 0.0
    firsts = text.translate(None, _NOT_FIRST)
    if b"\xc6" in firsts:  # ơ, ư
        total -= (0.9 - _VIETNAMESE) * firsts.count(b"\xe1")
    for script, weight in _SCRIPTS:
        left = firsts.translate(None, script)
        total += weight * (len(firsts) - len(left))
        if not left:
            return total
        firsts = left
    return total + _OTHER * len(firsts)


def _unescaped(body: bytes) -> bytes:
    r"""With characters for `\u0416`, where many are written so."""
    if body.count(b"\\u") * _MANY_ESCAPES < len(body):
        return body
    try:
        return msgspec.json.encode(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body


def _without_media(body: bytes) -> tuple[bytes, list[_Medium]]:
    """The body without what is written in base64, and what that was."""
    found: list[_Medium] = []
    for mark in _MARKS:
        body = _cut_after(mark, body, found)
    return body, found


def _with_addresses(body: bytes, media: Sequence[_Medium]) -> Sequence[_Medium]:
    """With the images that lie somewhere else. Their addresses stay in the body."""
    addresses = body.count(_URL)
    if not addresses:
        return media
    # `"image_url": "data:image/png;base64,…"` is among them, and known.
    addresses -= sum(one.image and one.address for one in media)
    return [*media, *[_Medium(size=_DEAREST_IMAGE, image=True, address=True, seen=True)] * addresses]


def _cut_after(mark: bytes, body: bytes, found: list[_Medium]) -> bytes:
    """The body without the long values that `mark` introduces; they are added to `found`."""
    kept: list[bytes] = []
    at = begun = 0
    while (place := body.find(mark, at)) >= 0:
        start = place + len(mark)
        if mark.endswith(b":"):  # the name of a field: its value is a text
            start = body.find(b'"', start) + 1
        end = body.find(b'"', start) if start else -1
        if end < 0:
            break
        if end - start >= _LONG_VALUE and b" " not in body[start : start + _LONG_VALUE]:
            kept.append(body[begun:start])
            begun = end
            image = b"image" in body[max(0, place - 80) : place]
            found.append(
                _Medium(size=end - start, image=image, address=mark == _DATA_URL, seen=mark not in _UNSEEN)
            )
        at = end
    kept.append(body[begun:])
    return b"".join(kept) if begun else body
