"""Which steps the requests of a route take: only those that something asks for there. Decided once for a snapshot."""

from __future__ import annotations

from ratchet.gateway.budgets.rules import compiled_budgets
from ratchet.gateway.budgets.step import budgets_step
from ratchet.gateway.cache.exact import AnswerCache
from ratchet.gateway.limits.rules import compiled_rules
from ratchet.gateway.limits.step import limits_step
from ratchet.gateway.merging import Merged
from ratchet.gateway.pipeline import STEPS
from ratchet.gateway.settings import GatewaySettings, RouteSettings
from ratchet.gateway.snapshot import Step
from ratchet.gateway.turns import take_turn

__all__ = ["Steps"]

_GRACE = 60.0  # seconds beyond all deadlines, after which no request of a gateway that lives is under way


class Steps:
    """Without `answers` it is no gateway of apps: no route keeps answers, and nobody is held to a limit."""

    def __init__(
        self,
        settings: GatewaySettings,
        merged: Merged,
        answers: AnswerCache | None,
    ) -> None:
        self._settings = settings
        self._merged = merged
        self._answers = answers
        deadlines = [each.timeout + each.connect_timeout for each in merged.providers.values()]
        deadlines += [each.timeout for each in merged.routes.values()]
        self._lifetime = int((max(deadlines, default=0.0) + _GRACE) * 1e9)

    def of(self, name: str, route: RouteSettings) -> tuple[Step, ...]:
        """Of a route's requests."""
        steps: list[Step] = [*self._limits(name)]
        if route.cache is not None and self._answers is not None:
            steps.append(self._answers.step(name, route.cache))
        if route.one_at_a_time:
            steps.append(take_turn)
        return (*steps, *self._budgets(name), *STEPS)

    def of_models(self) -> tuple[Step, ...]:
        """Of requests for a `provider/model`, which no route declares."""
        return (*self._limits(None), *self._budgets(None), *STEPS)

    def _limits(self, name: str | None) -> list[Step]:
        rules = compiled_rules(self._merged.limits, name) if self._answers is not None else ()
        if not rules:
            return []
        down = self._settings.counters_down
        return [limits_step(rules, lifetime=self._lifetime, counters_down=down)]

    def _budgets(self, name: str | None) -> list[Step]:
        merged, settings = self._merged, self._settings
        if self._answers is None or not merged.budgets:
            return []
        # The file is the operator's word; where what members declare tells of itself is looked at.
        guarded = {each for each, origin in merged.origins["budget"].items() if origin == "studio"}
        budgets = compiled_budgets(
            merged.budgets, name, guarded=guarded, allow_private=settings.allow_private
        )
        return [budgets_step(budgets, counters_down=settings.counters_down)] if budgets else []
