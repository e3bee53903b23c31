"""The catalogue: base models, and what is known of each. Every fact names its sources; what is not known is unknown.

Read once from `data/models.jsonl`, which ships with the package. `docs/catalog.md` says what the fields mean.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import msgspec

from ratchet.catalog.naming import Names
from ratchet.errors import NotFound

__all__ = [
    "AS_OF",
    "FACTS",
    "Catalogue",
    "DataLocation",
    "Fact",
    "FineTunable",
    "LicenceClass",
    "Model",
    "Source",
    "Status",
    "catalogue",
    "parse",
]

AS_OF = datetime.date(2026, 11, 21)  # the day that the data is of
_FILE = Path(__file__).with_name("data") / "models.jsonl"

Status = Literal["current", "deprecated", "historical"]
LicenceClass = Literal["proprietary", "permissive", "restricted", "non_commercial"]
FineTunable = Literal["weights", "api", "no"]
DataLocation = Literal["anywhere", "provider_api"]
ValueT = TypeVar("ValueT")


class Source(msgspec.Struct, frozen=True):
    """Where a fact comes from; `date` is the month that the source states (`2026-11`), None where it states none."""

    source: str
    date: str | None = None

    def __str__(self) -> str:
        return f"{self.source}, {self.date}" if self.date else f"{self.source}, undated"


class Fact(msgspec.Struct, Generic[ValueT], frozen=True):
    """One thing known of a model. `value` None: no source was found, or sources disagree. It never means "no"."""

    value: ValueT | None = None
    sources: tuple[Source, ...] = ()

    @property
    def known(self) -> bool:
        return self.value is not None

    @property
    def cited(self) -> str:
        """The source to name where there is room for one: one that is dated, if any is."""
        if not self.sources:
            return ""
        return str(next((source for source in self.sources if source.date), self.sources[0]))


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One base model. Parameters are billions, limits are tokens, prices are exact US dollars per million tokens."""

    name: str
    provider: Fact[str]
    family: Fact[str]
    status: Fact[Status]
    deprecation_date: Fact[datetime.date]
    parameters_b: Fact[float]
    active_parameters_b: Fact[float]  # of a mixture of experts
    context_tokens: Fact[int]
    max_output_tokens: Fact[int]
    input_usd_per_mtok: Fact[Decimal]
    cached_input_usd_per_mtok: Fact[Decimal]
    output_usd_per_mtok: Fact[Decimal]
    modalities_in: Fact[tuple[str, ...]]
    tools: Fact[bool]
    structured_output: Fact[bool]
    reasoning: Fact[bool]
    fine_tunable: Fact[FineTunable]
    training: Fact[tuple[str, ...]]  # kinds of training data
    licence: Fact[str]
    licence_class: Fact[LicenceClass]
    weights_open: Fact[bool]
    data_location: Fact[DataLocation]

    def facts(self) -> Iterator[tuple[str, Fact[Any]]]:
        """Every fact with its name, in the order in which they are shown."""
        for name in FACTS:
            yield name, getattr(self, name)

    @property
    def hosted(self) -> bool:
        """Whether its maker is known to sell it through an API of its own."""
        return self.status.value != "historical" and (
            self.data_location.value == "provider_api" or self.input_usd_per_mtok.known
        )


# What the facts are called on pages, in the order in which they are shown.
FACTS: dict[str, str] = {
    "provider": "Provider",
    "family": "Family",
    "status": "Status",
    "deprecation_date": "Retires on",
    "context_tokens": "Context",
    "max_output_tokens": "Longest output",
    "input_usd_per_mtok": "Input price",
    "cached_input_usd_per_mtok": "Cached input price",
    "output_usd_per_mtok": "Output price",
    "modalities_in": "Takes",
    "tools": "Tools",
    "structured_output": "Structured output",
    "reasoning": "Reasoning",
    "fine_tunable": "Fine-tunable",
    "licence": "Licence",
    "licence_class": "Licence class",
    "weights_open": "Open weights",
    "data_location": "Where data goes",
    "parameters_b": "Parameters",
    "active_parameters_b": "Active parameters",
    "training": "Kinds of training data",
}


class _Stated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fact_names: list[str]
    source: str
    date: str | None


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the file."""

    name: str
    provider: str | None
    family: str | None
    status: Status | None
    deprecation_date: datetime.date | None
    parameters_b: float | None
    active_parameters_b: float | None
    context_tokens: int | None
    max_output_tokens: int | None
    input_usd_per_mtok: Decimal | None
    cached_input_usd_per_mtok: Decimal | None
    output_usd_per_mtok: Decimal | None
    modalities_in: tuple[str, ...] | None
    tools: bool | None
    structured_output: bool | None
    reasoning: bool | None
    fine_tunable: FineTunable | None
    training: tuple[str, ...] | None
    licence: str | None
    licence_class: LicenceClass | None
    weights_open: bool | None
    data_location: DataLocation | None
    sources: list[_Stated]


def parse(line: bytes) -> Model:
    """A line of the file as a model.

    Raises ValueError for a fact without a source, and for a source of something that is no fact or not known.
    """
    row = msgspec.json.decode(line, type=_Row)
    facts: dict[str, Any] = {}
    for name in FACTS:
        value = getattr(row, name)
        stated = tuple(Source(each.source, each.date) for each in row.sources if name in each.fact_names)
        if (value is None) != (not stated):
            raise ValueError(f"{row.name}: {name} is {value!r} and has {len(stated)} sources")
        facts[name] = Fact(value, stated)
    named = {name for each in row.sources for name in each.fact_names}
    if not named <= set(FACTS):
        raise ValueError(f"{row.name}: sources name {sorted(named - set(FACTS))}, which are no facts")
    return Model(name=row.name, **facts)


class Catalogue:
    """Models in the file's order, found by their names and by what else they are called."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = tuple(models)
        self._by_name = {model.name: model for model in self.models}
        self._names = Names(self._by_name)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def match(self, name: str) -> str | None:
        """The catalogue's name for what somebody else calls `name`; None where it is none of its models."""
        return self._names.match(name)

    def near(self, name: str, count: int = 3) -> list[str]:
        """The names most like `name`, for people who have to choose."""
        return self._names.near(name, count)

    def get(self, name: str) -> Model:
        """The model of that name, however it is written. Raises NotFound, with the nearest names."""
        found = self._by_name.get(name) or self._by_name.get(self.match(name) or "")
        if found is not None:
            return found
        near = self.near(name) or difflib.get_close_matches(name, list(self._by_name), n=3, cutoff=0.4)
        remedy = f"Did you mean {' or '.join(near)}?" if near else "`ratchet model list` shows them all."
        raise NotFound(f"The catalogue has no model {name!r}.", remedy)


@cache
def catalogue() -> Catalogue:
    """The models that ship with the package."""
    return Catalogue([parse(line) for line in _FILE.read_bytes().splitlines() if line.strip()])
