"""Budgets: what has been spent of each, by whom, and how it goes on."""

from __future__ import annotations

from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.studio.budgeting import BudgetShare, BudgetState, budget_chart, budget_states
from ratchet.studio.declaring import merged_now
from ratchet.studio.exports import Column, export, export_format
from ratchet.studio.pages import policies
from ratchet.studio.rendering import json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = ["budgets_json", "budgets_page"]

_Row = tuple[BudgetState, BudgetShare]
_COLUMNS: tuple[Column[_Row], ...] = (
    Column("budget", lambda row: row[0].name),
    Column("period", lambda row: row[0].period),
    *(
        Column[_Row](name, lambda row, name=name: row[1].names.get(name, ""))
        for name in ("key", "user", "organisation", "ip", "route", "segment")
    ),
    Column("amount_usd", lambda row: row[0].amount),
    Column("spent_usd", lambda row: row[1].spent),
    Column("left_usd", lambda row: row[1].left),
    Column("projected_usd", lambda row: row[1].projected),
    Column("state", lambda row: row[1].how),
    Column("calls", lambda row: row[1].calls),
    Column("calls_without_price", lambda row: row[1].unpriced),
)


def budgets_json(asked: Asked) -> Response:
    """Every budget in its current period: what was spent, by whom, and what is projected."""
    states = _states(asked)
    return _export(asked, states) if export_format(asked) else json_response(states)


def budgets_page(asked: Asked) -> Response:
    """The same for people; with `?format=` the file of it, with `?new` the form for another."""
    if "new" in asked.request.query_params:
        return policies.BUDGETS.list_page(asked)
    states = _states(asked)
    if export_format(asked):
        return _export(asked, states)
    return page(
        asked,
        "budgets.html",
        # Those that somebody should look at stand first.
        states=[
            (state, budget_chart(state))
            for state in sorted(states, key=lambda state: (not state.over, not state.warned, state.name))
        ],
        lines=sum(len(state.shares) for state in states),
        may_edit=asked.member.role >= Role.DEVELOPER,
    )


def _states(asked: Visit) -> list[BudgetState]:
    merged, _ = merged_now(asked)
    return budget_states(asked, merged.budgets, merged.origins["budget"])


def _export(asked: Visit, states: list[BudgetState]) -> Response:
    rows = [(state, share) for state in states for share in state.shares]
    return export(asked, "budgets", _COLUMNS, [rows], total=len(rows))
