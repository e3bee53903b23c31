"""What calls cost by whose they are: the state of budgets, as far as it has been written down."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.filters import window
from ratchet.store.spans.traces import exact

__all__ = ["WHOSE", "Share", "Spending", "spending_of"]

# By what spending can be told apart. An address is as a server tells it.
WHOSE = {
    "key": "key_id",
    "user": "user_id",
    "organisation": "organisation_id",
    "ip": "attributes['metadata.client_ip']",
    "route": "route",
    "segment": "segment",
}
_CALLS = "source = 'gateway' AND target != '' AND operation != 'attempt'"


class Share(msgspec.Struct, frozen=True):
    """One of those that spending is told apart by: its names in the order of `by`; no cost where none is known."""

    names: tuple[str, ...]
    cost: Decimal
    calls: int
    unpriced: int


class Spending(msgspec.Struct, frozen=True):
    """`shares` has those that spent most; `total` is of all `count` of them, and `reached` says how many of them have
    spent each of the sums that were asked for. `pieces` has what was spent in each piece
    of time, by its number since the beginning."""

    shares: list[Share]
    count: int
    reached: list[int]
    total: Decimal
    calls: int
    unpriced: int
    pieces: dict[int, Decimal]


def spending_of(
    pool: ClientPool,
    project_id: str,
    *,
    by: Sequence[str],
    only: Mapping[str, Sequence[str]],
    since: int,
    until: int,
    piece: int,
    sums: Sequence[Decimal] = (),
    limit: int,
) -> Spending:
    """Of production's calls from `since` up to `until`. `by` and the keys of `only` are of WHOSE; a call counts where
    it has one of the names in each of `only`. `piece` is in nanoseconds."""
    where, parameters = window(project_id, since, until)
    where += f" AND {_CALLS}"
    for name, wanted in only.items():
        where += f" AND has({{only_{name}:Array(String)}}, {WHOSE[name]})"
        parameters[f"only_{name}"] = list(wanted)
    columns = "".join(f"toString({WHOSE[name]}) AS by_{name}, " for name in by)
    groups = ", ".join(f"by_{name}" for name in by) or "tuple()"
    reached = "".join(
        f", countIf(ifNull(spent_, 0) >= toDecimal128({{sum_{number}:String}}, 18)) OVER ()"
        for number in range(len(sums))
    )
    parameters |= {f"sum_{number}": f"{amount:f}" for number, amount in enumerate(sums)}
    rows = pool.select(
        f"SELECT {columns}sumOrNull(cost) AS spent_, count(), countIf(cost IS NULL), count() OVER (){reached} "
        f"FROM spans WHERE {where} GROUP BY {groups} ORDER BY ifNull(spent_, 0) DESC, {groups} LIMIT {{limit:UInt64}}",
        {**parameters, "limit": limit},
    )
    pieces = pool.select(
        f"SELECT intDiv(toUnixTimestamp64Nano(start) - {{begin:Int64}}, {{piece:Int64}}) AS number_, sumOrNull(cost), "
        f"count(), countIf(cost IS NULL) FROM spans WHERE {where} GROUP BY number_ ORDER BY number_",
        {**parameters, "begin": since, "piece": piece},
    )
    own = len(by)
    return Spending(
        shares=[
            Share(tuple(row[:own]), _known(row[own]), int(row[own + 1]), int(row[own + 2])) for row in rows
        ],
        count=int(rows[0][own + 3]) if rows else 0,
        reached=[int(number) for number in rows[0][own + 4 :]] if rows else [0] * len(sums),
        total=sum((_known(row[1]) for row in pieces), Decimal(0)),
        calls=sum(int(row[2]) for row in pieces),
        unpriced=sum(int(row[3]) for row in pieces),
        pieces={int(row[0]): _known(row[1]) for row in pieces},
    )


def _known(cost: Decimal | None) -> Decimal:
    return exact(cost) or Decimal(0)
