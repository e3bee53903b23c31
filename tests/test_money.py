"""Budgets: money set aside before a provider is asked, by however many gateways, and who is told."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
from tests.conftest import eventually, redis_address, spooled
from tests.test_limits import MESSAGES, Limited, gateway_process, limited, made_key

from ratchet.domain.spans import Event
from ratchet.gateway.budgets.calendar import Calendar
from ratchet.gateway.budgets.meter import dollars
from ratchet.simulator.app import Simulator
from ratchet.store.counters import BudgetAsk, Refusal
from ratchet.telemetry.calls import Call

DAY = 86_400 * 10**9
PRICES = """
[prices."sim/gpt-4o-mini"]
input = 0
output = 10
[prices."sim/gpt-4o"]
input = 0
output = 100
"""  # an answer of 100 tokens costs $0.001, of the large one $0.01


async def answer(at: Limited, model: str = "mini", **fields: Any) -> httpx2.Response:
    """A hundred tokens, and no more."""
    return await at.ask(model, max_tokens=100, simulate="tokens=100", **fields)


def reason(response: httpx2.Response) -> str:
    return response.json()["error"]["code"]


async def test_each_user_has_so_much_money_a_day(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    budget = f'[budgets.free]\nby = ["user"]\namount = 0.003\nperiod = "day"\n{PRICES}'
    async with limited(tmp_path, simulator, budget) as at:
        now = 1_700_000_000 * 10**9
        at.gateway.services.now = lambda: now
        found = [await answer(at, user="ada") for _ in range(4)]
        assert [each.status_code for each in found] == [200, 200, 200, 402]
        assert found[3].json()["error"]["message"] == (
            "The budget 'free' of user 'ada' is spent: $0.003 of $0.003 for 2023-11-14. It begins anew with the next day "
            "(UTC); an operator can raise it."
        )
        assert (await answer(at, user="bob")).status_code == 200
        now += DAY
        assert (await answer(at, user="ada")).status_code == 200
        events = [each for each in at.gateway.recorded() if isinstance(each, Event)]
        assert [(each.kind, each.subject) for each in events] == [
            ("budget.warning", "free of user 'ada' 80%"),
            ("budget.exhausted", "free of user 'ada'"),
        ]


async def test_what_costs_nothing_is_given_back(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    async with limited(tmp_path, simulator, f"[budgets.all]\namount = 0.002\n{PRICES}") as at:
        for _ in range(5):
            failed = await at.ask(max_tokens=200, simulate="status=400")
            assert failed.status_code == 400
        assert (await answer(at)).status_code == 200
        short = await at.ask(max_tokens=100, simulate="tokens=10")
        assert short.status_code == 200
        assert (await at.ask(max_tokens=90, simulate="tokens=90")).status_code == 200
        assert (await at.ask(max_tokens=1)).status_code == 402


async def test_a_stream_is_settled_exactly_though_its_app_asks_for_no_counts(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with limited(tmp_path, simulator, f"[budgets.all]\namount = 0.002\n{PRICES}") as at:
        for _ in range(10):
            short = await at.ask(max_tokens=100, simulate="tokens=10", stream=True)
            assert short.status_code == 200
            assert "prompt_tokens" not in short.text, "the app asked for none"
            assert short.text.rstrip().endswith("data: [DONE]")
        assert (await at.ask(max_tokens=100, simulate="tokens=100")).status_code == 200
        assert (await at.ask(max_tokens=1)).status_code == 402
        costs = [each.cost for each in at.gateway.calls()]
        assert [Decimal(cost or 0) for cost in costs[:10]] == [Decimal("0.0001")] * 10


async def test_money_that_is_only_set_aside_is_worth_waiting_for(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with limited(tmp_path, simulator, f"[budgets.all]\namount = 0.0015\n{PRICES}") as at:
        slow = asyncio.create_task(at.ask(max_tokens=100, simulate="latency=30s"))

        held = f"budget:all::{Calendar('month').period(at.gateway.services.now()).name}:"

        async def set_aside() -> bool:
            found = await at.gateway.services.counters.admit([BudgetAsk(held, 1, 0, DAY)])
            return isinstance(found, Refusal) and found.level == 10**6

        assert await eventually(set_aside)
        response = await at.ask(max_tokens=60)
        assert (response.status_code, reason(response)) == (429, "budget_reserved")
        assert response.headers["retry-after"] == "1"
        slow.cancel()

        async def free() -> bool:
            return (await at.ask(max_tokens=40, simulate="tokens=1")).status_code == 200

        assert await eventually(free)


async def test_a_cheaper_target_answers_once_it_is_spent(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    budgets = f"""
[budgets.large]
routes = ["large"]
amount = 0.02
degrade_to = "mini"
[budgets.hard]
amount = 0.025
{PRICES}
"""
    async with limited(tmp_path, simulator, budgets) as at:
        found = [await answer(at, "large") for _ in range(9)]
        assert [each.status_code for each in found] == [200] * 7 + [402] * 2
        assert [each.headers.get("x-ratchet-degraded") for each in found[:7]] == [None] * 2 + ["mini"] * 5
        assert [each.json()["model"] for each in found[:3]] == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
        calls = at.gateway.calls()
        assert [(call.route, call.target, call.cost) for call in calls[1:3]] == [
            ("large", "sim/gpt-4o", "0.01"),
            ("large", "sim/gpt-4o-mini", "0.001"),
        ]


async def test_without_a_price_there_is_no_budget(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    own = '[routes.own]\ntargets = ["sim/our-own"]\n[routes.other]\ntargets = ["sim/our-own"]'
    budgets = f'[budgets.b]\nroutes = ["own"]\namount = 1\n[budgets.c]\nroutes = ["other"]\namount = 1\nallow_unpriced = true\n{own}'
    async with limited(tmp_path, simulator, budgets) as at:
        refused = await at.ask("own")
        assert (refused.status_code, reason(refused)) == (402, "price_unknown")
        assert "the budget 'b' is in money" in refused.json()["error"]["message"]
        assert (await at.ask("other")).status_code == 200


async def test_a_guess_never_says_that_money_is_spent(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    """Five hundred tokens, as many as are guessed before an answer has come, would cost $0.05."""
    async with limited(tmp_path, simulator, f"[budgets.all]\namount = 0.03\n{PRICES}") as at:
        first = asyncio.create_task(at.ask("large", simulate="tokens=100; latency=500ms"))
        await eventually(lambda: simulator[1].stats.requests == 1)
        beside = await at.ask("large")
        assert (beside.status_code, reason(beside)) == (429, "budget_reserved")
        assert (await first).status_code == 200
        assert [(await at.ask("large", simulate="tokens=90")).status_code for _ in range(2)] == [200] * 2
        last = await at.ask("large", simulate="tokens=90")
        assert last.status_code == 200, "$0.002 is left, and it takes that"
        over = await at.ask("large")
        assert (over.status_code, reason(over)) == (402, "budget_exhausted")
        assert "is spent: $0.037 of $0.03 for" in over.json()["error"]["message"]
        events = [each for each in at.gateway.recorded() if isinstance(each, Event)]
        assert [each.kind for each in events] == ["budget.warning", "budget.exhausted"]


async def test_what_is_larger_than_the_whole_budget_is_no_sign_that_it_is_spent(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    settings = f"""
[budgets.all]
amount = 0.003
period = "day"
[routes.dear]
targets = ["sim/gpt-4.1"]
[prices."sim/gpt-4.1"]
input = 1000
output = 0
{PRICES}"""
    async with limited(tmp_path, simulator, settings) as at:
        long = await at.ask(max_tokens=400)
        assert (long.status_code, reason(long)) == (400, "request_exceeds_budget")
        assert long.json()["error"]["message"] == (
            "The request may cost $0.004, more than the whole budget 'all' allows ($0.003 a day). "
            "Send less, ask for a shorter answer, or raise budgets.all.amount."
        )
        question = await at.ask("dear")
        assert (question.status_code, reason(question)) == (400, "request_exceeds_budget")
        assert "may cost, its question alone, $0.0" in question.json()["error"]["message"]
        assert (await answer(at)).status_code == 200
        long = await at.ask(max_tokens=201)
        assert (long.status_code, reason(long)) == (402, "budget_short")
        assert "has too little left: $0.001 of $0.003" in long.json()["error"]["message"]
        assert [(await answer(at)).status_code for _ in range(4)] == [200, 200, 402, 402]
        events = [each.kind for each in at.gateway.recorded() if isinstance(each, Event)]
        assert events == ["budget.short", "budget.warning", "budget.exhausted"]


class Two:
    """Two gateways in processes of their own that count in one Redis."""

    def __init__(self, folder: Path, addresses: list[str], key: str, client: httpx2.AsyncClient) -> None:
        self.folder = folder
        self.addresses = addresses
        self.key = key
        self._client = client

    async def ask(self, number: int, **fields: Any) -> httpx2.Response:
        return await self._client.post(
            f"{self.addresses[number % 2]}/v1/chat/completions",
            json={"model": "mini", "messages": MESSAGES, **fields},
            headers={"authorization": f"Bearer {self.key}"},
        )

    def calls(self) -> list[Call]:
        return [each for each in spooled(self.folder / "data" / "spool") if isinstance(each, Call)]

    def spent(self) -> Decimal:
        return sum((Decimal(call.cost or 0) for call in self.calls()), Decimal(0))


@contextlib.asynccontextmanager
async def two(folder: Path, simulator: tuple[str, Simulator], amount: str) -> AsyncIterator[Two]:
    (folder / "ratchet.toml").write_text(f"""
[store]
counters = "{redis_address()}"
counters_prefix = "{secrets.token_hex(6)}"
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.mini]
targets = ["sim/gpt-4o-mini"]
[budgets.all]
amount = {amount}
[prices."sim/gpt-4o-mini"]
input = 1
output = 10
""")
    limits = httpx2.Limits(max_connections=600)
    key = await asyncio.to_thread(made_key, folder)
    with contextlib.ExitStack() as stack:
        addresses = [stack.enter_context(gateway_process(folder))[1] for _ in range(2)]
        async with httpx2.AsyncClient(timeout=60, limits=limits) as client:
            for address in addresses:
                await eventually(lambda where=address: _is_up(client, where), within=60)
            yield Two(folder, addresses, key, client)


async def _is_up(client: httpx2.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/healthz")).status_code == 200
    except httpx2.TransportError:
        return False


async def test_capped_answers_never_overspend(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    """Five hundred at once against money for about a hundred, through two gateways."""
    one = Decimal("0.001") + Decimal("0.00001")  # 100 tokens out, about ten in
    async with two(tmp_path, simulator, f"{one * 100}") as both:

        async def ask(number: int) -> int:
            while True:
                response = await both.ask(number, max_tokens=100, simulate="tokens=100")
                if response.status_code != 429:
                    return response.status_code
                assert reason(response) == "budget_reserved"
                await asyncio.sleep(0.02)

        found = await asyncio.gather(*[ask(number) for number in range(500)])
        assert set(found) == {200, 402}
        assert both.spent() <= one * 100
        assert (
            both.spent() > one * 85
        )  # nearly all of it was for use; what is left is too little to be sure of
        assert found.count(200) == sum(call.status == "ok" for call in both.calls())


async def test_uncapped_answers_overspend_by_no_more_than_the_estimates_err(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    """Answers are expected to have 500 tokens and have 800: whoever is under way then costs 300 more."""
    budget = Decimal("0.5")
    async with two(tmp_path, simulator, f"{budget}") as both:
        found = await asyncio.gather(*[both.ask(number, simulate="tokens=800") for number in range(500)])
        answered = sum(each.status_code == 200 for each in found)
        assert {each.status_code for each in found} <= {200, 402, 429}
        assert 60 <= answered <= 100  # by what it is and by what it was thought to be
        error = Decimal(300 * 10) / 1_000_000
        assert budget * Decimal("0.95") < both.spent() <= budget + answered * error
        late = [(await both.ask(number, simulate="tokens=800")).status_code for number in range(20)]
        assert late in ([402] * 20, [200] + [402] * 19), "one may take what is left"
        assert both.spent() <= budget + answered * error
        assert both.spent() < budget + Decimal("0.0081") + error


async def test_what_no_gateway_has_seen_is_learnt_by_one_request(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    """The guess of 500 tokens is $0.005, more than all there is; an answer costs about $0.001."""
    async with two(tmp_path, simulator, "0.0045") as both:
        found = await asyncio.gather(*[both.ask(number, simulate="tokens=100") for number in range(10)])
        refused = [each for each in found if each.status_code != 200]
        assert len(refused) < 10
        assert {reason(each) for each in refused} <= {"budget_reserved"}
        late = [await both.ask(number, simulate="tokens=100") for number in range(10)]
        assert {each.status_code for each in late} == {200, 402}, (
            "both have learnt, or guess and are let through"
        )
        assert reason(late[-1]) == "budget_exhausted"
        assert Decimal("0.0045") <= both.spent() < Decimal("0.0055"), (
            "all of it, and no more than an answer beyond"
        )


def test_periods_and_amounts() -> None:
    month, day = Calendar("month"), Calendar("day")
    december = 1_703_980_800 * 10**9  # 2023-12-31T00:00:00Z
    assert month.period(december).name == "2023-12"
    assert month.period(december + DAY).name == "2024-01"
    assert month.period(december).end == december + DAY
    assert (day.period(december).start, day.period(december + DAY - 1).end) == (december, december + DAY)
    assert [dollars(each) for each in (0, 1, 10**9, 1_230_000_000)] == ["0.00", "0.000000001", "1.00", "1.23"]
