"""Which steps the requests of a route take: only those that something asks for there. Decided once for a snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from ratchet.gateway.budgets.rules import compiled_budgets
from ratchet.gateway.cache.exact import AnswerCache
from ratchet.gateway.holding import Held, hold_step
from ratchet.gateway.limits.meters import PlacesMeter, RequestsMeter
from ratchet.gateway.limits.rules import compiled_limits
from ratchet.gateway.loading.merging import Merged
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
        """Of a route's requests. An answer that is kept costs nothing, so budgets come after looking for one."""
        between: list[Step] = []
        if route.cache is not None and self._answers is not None:
            between.append(self._answers.step(name, route.cache))
        if route.one_at_a_time:
            between.append(take_turn)
        limits, budgets = self._limits(name), self._budgets(name)
        if not between:
            return (*self._holding([*limits, *budgets]), *STEPS)
        return (*self._holding(limits), *between, *self._holding(budgets), *STEPS)

    def of_models(self) -> tuple[Step, ...]:
        """Of requests for a `provider/model`, which no route declares."""
        return (*self._holding([*self._limits(None), *self._budgets(None)]), *STEPS)

    def of_choices(self) -> dict[str, tuple[Step, ...]]:
        """Of tools that are chosen without a model, by the route that would be asked; "" for any other model, or none.

        Nobody is asked, so no tokens and no money are used: requests count, and requests at once.
        """
        return {
            name or "": tuple(self._holding(self._counted(name))) for name in (*self._merged.routes, None)
        }

    def _counted(self, name: str | None) -> Sequence[Held]:
        return [each for each in self._limits(name) if isinstance(each, RequestsMeter | PlacesMeter)]

    def _holding(self, held: Sequence[Held]) -> list[Step]:
        return [hold_step(held, counters_down=self._settings.counters_down)] if held else []

    def _limits(self, name: str | None) -> Sequence[Held]:
        if self._answers is None:
            return ()
        return compiled_limits(self._merged.limits, name, lifetime=self._lifetime)

    def _budgets(self, name: str | None) -> Sequence[Held]:
        merged, settings = self._merged, self._settings
        if self._answers is None or not merged.budgets:
            return ()
        # The file is the operator's word; where what members declare tells of itself is looked at.
        guarded = {each for each, origin in merged.origins["budget"].items() if origin == "studio"}
        return compiled_budgets(
            merged.budgets,
            name,
            lifetime=self._lifetime,
            guarded=guarded,
            allow_private=settings.allow_private,
        )
