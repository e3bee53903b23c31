"""The sample app's users: invented names, languages, organisations and plans, fixed by the seed."""

from __future__ import annotations

import msgspec

from ratchet.simulator.dice import Dice

__all__ = ["ORGANISATIONS", "User", "people"]


class User(msgspec.Struct, frozen=True):
    """`plan` is the organisation's: free, team or enterprise."""

    id: str
    name: str
    language: str
    organisation: str
    plan: str
    app_version: str


ORGANISATIONS: tuple[tuple[str, str], ...] = (
    ("hillside-school", "team"),
    ("brackwater-hikers", "free"),
    ("northfold-rescue", "enterprise"),
    ("oakline-rentals", "enterprise"),
    ("tarn-and-co", "team"),
    ("private", "free"),
)
_NAMES = {
    "en": (
        "Amelia",
        "Noah",
        "Priya",
        "Oliver",
        "Zainab",
        "Jack",
        "Freya",
        "Tomasz",
        "Grace",
        "Idris",
        "Holly",
        "Sean",
    ),
    "de": ("Lena", "Jonas", "Meike", "Emre", "Clara", "Felix"),
    "es": ("Lucía", "Mateo", "Carmen", "Diego"),
    "fr": ("Chloé", "Hugo", "Amina", "Luc"),
}
_LANGUAGES = ("en",) * 13 + ("de",) * 4 + ("es",) * 2 + ("fr",) * 2
_VERSIONS = ("1.4.0", "1.4.0", "1.5.0")


def people(count: int, seed: int) -> list[User]:
    """`count` users."""
    return [_user(number, Dice(f"user {seed} {number}".encode())) for number in range(1, count + 1)]


def _user(number: int, dice: Dice) -> User:
    language = dice.pick("language", _LANGUAGES)
    organisation, plan = dice.pick("organisation", ORGANISATIONS)
    name = dice.pick("name", _NAMES[language])
    return User(f"user-{number:04}", name, language, organisation, plan, dice.pick("version", _VERSIONS))
