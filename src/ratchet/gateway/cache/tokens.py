"""Words that decide an answer: where two questions differ in one of them, no likeness makes them the same. Pure.

Numbers, names, dates, units and negations, and words that are each other's opposite. What is read off a question costs
a few regular expressions; two readings are compared by equality. It errs on the safe side: a name that only one of two
writes, or two names in another order, keep an answer from being given again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

__all__ = ["Tokens", "deciding_difference", "deciding_tokens", "opposed", "sides_of", "words_of"]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,:/]\d+)*(?![^\W_])")
_CODE = re.compile(r"(?<!\w)(?=\w*\d)(?=\w*[^\W\d_])[\w-]+")  # letters and digits in one: B12, iPhone15, 4K
_ADDRESS = re.compile(r"(?<!\S)\S+@\S+|https?://\S+|\bwww\.\S+")
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|«([^»]+)»|`([^`]+)`')
_SIGNS = {"%": "percent", "€": "euro", "$": "dollar", "£": "pound", "¥": "yen", "°": "degree"}
_OPENERS = frozenset(".!?:;\n(\"'“”«¿¡-–—")


def _words(text: str) -> list[str]:
    return text.split()


_COUNT_WORDS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNT_WORDS)} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90",
    "hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000", "dozen": "12",
    "half": "1/2", "twice": "2", "double": "2", "triple": "3", "thrice": "3",
    "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th", "sixth": "6th", "seventh": "7th",
    "eighth": "8th", "ninth": "9th", "tenth": "10th",
}  # fmt: skip
_NOT_COUNTED = frozenset({"one"})  # "which one", "no one"
_NEGATIONS = frozenset(
    _words(
        "not no never none neither nor nothing nobody nowhere without cannot except excluding unless avoid "
        "nicht kein keine keinen keinem keiner ohne nie niemals pas sans jamais aucun aucune sin nunca ningun ninguna "
        "ningún non senza mai nessun nessuna não nao sem niet geen zonder nooit ikke uden inte utan не нет без никогда"
    )
)
_DATES = frozenset(
    _words(
        "january february march april june july august september october november december jan feb mar apr jun jul aug sep "
        "sept oct nov dec monday tuesday wednesday thursday friday saturday sunday weekend weekday weekends weekdays today "
        "tomorrow yesterday tonight spring summer autumn winter christmas easter morning afternoon evening night noon "
        "midnight daily weekly monthly yearly annual annually quarterly"
    )
)
_UNIT_WORDS = {
    "km": "kilometre kilometer kilometers kilometres kilometer kms", "mile": "miles mi", "m": "metre meter metres meters",
    "cm": "centimetre centimeter centimetres centimeters", "mm": "millimetre millimeter millimetres millimeters",
    "inch": "inches", "foot": "feet ft", "kg": "kilo kilos kilogram kilograms kgs", "gram": "grams",
    "mg": "milligram milligrams", "lb": "lbs pounds", "ounce": "ounces oz", "litre": "liter litres liters",
    "ml": "millilitre milliliter millilitres milliliters", "gallon": "gallons", "celsius": "centigrade",
    "fahrenheit": "", "kelvin": "", "second": "seconds secs", "minute": "minutes min mins", "hour": "hours hr hrs",
    "day": "days", "week": "weeks", "month": "months", "year": "years", "kb": "kilobyte kilobytes",
    "mb": "megabyte megabytes", "gb": "gigabyte gigabytes", "tb": "terabyte terabytes", "percent": "percentage",
    "euro": "euros eur", "dollar": "dollars usd", "pound": "gbp", "yen": "jpy", "degree": "degrees", "calorie":
    "calories kcal", "watt": "watts", "volt": "volts", "acre": "acres", "hectare": "hectares",
}  # fmt: skip
_UNITS = {word: unit for unit, words in _UNIT_WORDS.items() for word in (unit, *words.split())}
# Each line is two sides of one thing; a side's words mean the same here.
_OPPOSITES = """
before prior earlier | after later afterwards
minimum min least fewest lowest smallest | maximum max most highest largest biggest
less fewer lower smaller below under | more greater higher larger bigger above over
cheap cheaper cheapest | expensive dearer pricey priciest
increase raise grow gain | decrease reduce lower shrink lose
open opening opens | close closing closes closed
enable activate on | disable deactivate off
start begin starts begins | stop end ends finish
buy purchase | sell
import importing | export exporting
upload uploading | download downloading
login signin | logout signout
install | uninstall
add insert attach | remove delete detach
lock | unlock
block | unblock
mute | unmute
subscribe | unsubscribe
upgrade | downgrade
encrypt encode compress zip | decrypt decode decompress unzip
send sending | receive receiving
lend | borrow
win | lose
arrive arrival arrivals | depart departure departures leave
inside indoor indoors | outside outdoor outdoors
hot hotter hottest warm | cold colder coldest cool
fast faster fastest quickest | slow slower slowest
long longer longest | short shorter shortest
old older oldest | new newer newest young younger youngest
early earliest | late latest
first | last
left | right
north northern | south southern
east eastern | west western
male men man boy boys | female women woman girl girls
mother mom mum | father dad
legal allowed permitted | illegal forbidden prohibited banned
safe safely | dangerous unsafe
good better best | bad worse worst
advantage advantages benefit benefits pros | disadvantage disadvantages drawback drawbacks cons
cause causes | effect effects
symptom symptoms | treatment treatments
input inputs | output outputs
ascending | descending
include including with | exclude
positive | negative
wholesale | retail
domestic | international
single | married
vegetarian vegan | meat
accept approve confirm | reject decline deny refuse
lowercase | uppercase
always | sometimes
all every | some any
gross | net
debit | credit
deposit | withdraw withdrawal
born birth | died death dead
""".strip().splitlines()
_SIDES: dict[str, list[tuple[int, int]]] = {}
for _axis, _line in enumerate(_OPPOSITES):
    for _side, _said in enumerate(_line.split("|")):
        for _word in _said.split():
            _SIDES.setdefault(_word, []).append((_axis, _side))


class Tokens(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What decides a question's answer. Lists keep the question's order."""

    words: frozenset[str]
    numbers: tuple[str, ...]
    names: tuple[str, ...]
    dates: tuple[str, ...]
    units: frozenset[str]
    negations: int
    sides: frozenset[tuple[int, int]]


def words_of(text: str) -> list[str]:
    """The words of a text, small, in order."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def deciding_tokens(text: str) -> Tokens:
    """Read a question."""
    text = unicodedata.normalize("NFKC", text)
    words = words_of(text)
    numbers = [_plain(found) for found in _NUMBER.findall(text)]
    numbers += [_NUMBERS[word] for word in words if word in _NUMBERS and word not in _NOT_COUNTED]
    units = {_UNITS[word] for word in words if word in _UNITS} | {
        _SIGNS[sign] for sign in _SIGNS if sign in text
    }
    units -= {"second"} if "second" in words and "seconds" not in words else set()
    return Tokens(
        words=frozenset(words) | {word.removesuffix("'s") for word in words},
        numbers=tuple(numbers),
        names=tuple(_names(text)),
        dates=tuple(word for word in words if word in _DATES),
        units=frozenset(units),
        negations=sum(word in _NEGATIONS or word.endswith("n't") for word in words),
        sides=sides_of(words),
    )


def sides_of(words: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Which side of which things small words name."""
    return frozenset(side for word in words for side in _SIDES.get(word, ()))


def deciding_difference(one: Tokens, other: Tokens) -> str:
    """What decides the answer and differs: number, name, date, unit, negation or opposite; "" for nothing."""
    if one.numbers != other.numbers:
        return "number"
    if one.negations != other.negations:
        return "negation"
    if one.dates != other.dates:
        return "date"
    if one.units != other.units:
        return "unit"
    if _other_names(one, other):
        return "name"
    return "opposite" if opposed(one.sides, other.sides) else ""


def opposed(one: frozenset[tuple[int, int]], other: frozenset[tuple[int, int]]) -> bool:
    """Whether one names one side of something, and the other only the other side of it."""
    return any((axis, 1 - side) in other and (axis, side) not in other for axis, side in one - other)


def _other_names(one: Tokens, other: Tokens) -> bool:
    for mine, theirs in ((one, other), (other, one)):
        if any(part not in theirs.words for name in mine.names for part in words_of(name)):
            return True
    shared = set(one.names) & set(other.names)
    return [name for name in one.names if name in shared] != [name for name in other.names if name in shared]


def _names(text: str) -> list[str]:
    """Capitalised words inside sentences, words in capitals, codes, addresses, and what stands in quotes; all small."""
    found: list[tuple[int, str]] = [
        (match.start(), (match[match.lastindex or 0]).lower())
        for pattern in (_ADDRESS, _QUOTED, _CODE)
        for match in pattern.finditer(text)
    ]
    spelled = [match for match in _WORD.finditer(text) if match[0][0].isalpha()]
    capitals = [
        match for match in spelled if match[0][0].isupper() and match[0] != "I" and match[0][:2] not in _I
    ]
    if 2 * len(capitals) <= len(spelled) + 1:  # else it is a headline, or shouted: case tells nothing
        for match in capitals:
            word = match[0].lower()
            inside = text[: match.start()].rstrip(" \t")[-1:] not in _OPENERS and match.start() > 0
            if (
                (inside or (len(word) > 1 and match[0].isupper()))
                and word not in _DATES
                and word not in _UNITS
            ):
                found.append((match.start(), word.removesuffix("'s").removesuffix("’s")))
    return list(dict.fromkeys(name for _, name in sorted(found)))


_I = ("I'", "I’")


def _plain(number: str) -> str:
    """`1,000` is 1000; `1.50` is 1.5. What could be a date or a time stays as it is."""
    digits = "".join(str(unicodedata.digit(sign, -1)) if sign.isdigit() else sign for sign in number)
    if re.fullmatch(r"\d{1,3}(,\d{3})+", digits):
        digits = digits.replace(",", "")
    if re.fullmatch(r"\d+[.,]\d+", digits):
        digits = digits.replace(",", ".").rstrip("0").rstrip(".")
    return digits.lstrip("0") or "0"
