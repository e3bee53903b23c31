"""The catalogue: every fact has a source, unknown stays unknown, and each exclusion says why."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.catalog import models as models_room
from ratchet.catalog.leaderboards import COLUMNS, match_lines, read_lines
from ratchet.catalog.models import AS_OF, FACTS, Fact, Model, Source, catalogue, parse
from ratchet.catalog.naming import Names, plain_name
from ratchet.catalog.prices import PriceBook, PriceSettings
from ratchet.catalog.quotes import VENDORS, Quote, agree, quotes_of
from ratchet.catalog.recommend import Judgement, Needs, Traffic, judge, recommend
from ratchet.errors import InvalidRequest, NotFound

FILE = Path(models_room.__file__).with_name("data") / "models.jsonl"
LINES = FILE.read_bytes().splitlines()
NOW = 1_795_262_400 * 10**9  # 2026-11-21, noon
TODAY = AS_OF
KNOWN = catalogue()
QUOTES = {model.name: quotes_of(model, {}, NOW) for model in KNOWN}


def judged(needs: Needs, **more: Any) -> dict[str, Judgement]:
    found = recommend(KNOWN, needs, quotes=QUOTES, here={}, today=TODAY, **more)
    return {each.model: each for each in found}


def says(judgement: Judgement, need: str) -> str:
    return next(each.says for each in judgement.findings if each.need == need)


# -- facts ---------------------------------------------------------------------------------------------------------


def test_every_known_fact_has_a_source_and_no_unknown_one_has() -> None:
    facts = [(model.name, name, fact) for model in KNOWN for name, fact in model.facts()]
    assert len(KNOWN) == 72
    assert len(facts) == 72 * len(FACTS)
    assert [each[:2] for each in facts if each[2].known != bool(each[2].sources)] == []
    assert sum(fact.known for *_, fact in facts) > 900


@pytest.mark.parametrize("line", LINES, ids=lambda line: json.loads(line)["name"])
def test_facts_are_what_the_file_says(line: bytes) -> None:
    row, model = json.loads(line), parse(line)
    shown = {name: json.loads(msgspec.json.encode(fact.value)) for name, fact in model.facts()}
    assert shown == {name: row[name] for name in FACTS}
    assert set(row) == {"name", "sources", *FACTS}
    for name, fact in model.facts():
        stated = [(each["source"], each["date"]) for each in row["sources"] if name in each["fact_names"]]
        assert [(source.source, source.date) for source in fact.sources] == stated


def test_a_fact_without_a_source_is_refused() -> None:
    row = json.loads(LINES[0])
    row["sources"] = [each for each in row["sources"] if "licence" not in each["fact_names"]]
    with pytest.raises(ValueError, match="licence"):
        parse(json.dumps(row).encode())


def test_a_source_of_nothing_is_refused() -> None:
    row = json.loads(LINES[0])
    row["sources"].append({"fact_names": ["speed"], "source": "x", "date": None})
    with pytest.raises(ValueError, match="speed"):
        parse(json.dumps(row).encode())


def test_what_the_file_does_not_define_is_refused() -> None:
    row = json.loads(LINES[0]) | {"colour": "blue"}
    with pytest.raises(msgspec.ValidationError, match="colour"):
        parse(json.dumps(row).encode())


def test_a_dated_source_is_cited_before_an_undated_one() -> None:
    assert Fact(1, (Source("a page"), Source("a map", "2026-11"))).cited == "a map, 2026-11"
    assert Fact(1, (Source("a page"),)).cited == "a page, undated"


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("GPT-4o mini (2024-07-18)", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini-2025-01-01", None),  # another date is another model
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-sonnet-4-5-latest", "claude-sonnet-4-5"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("us.amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0"),
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B-Instruct"),
        ("Qwen3-30B-A3B", None),
        ("nothing-like-it", None),
        ("", None),
    ],
)
def test_a_model_is_found_under_the_names_that_others_give_it(written: str, name: str | None) -> None:
    assert KNOWN.match(written) == name


def test_every_model_is_found_by_its_own_name() -> None:
    assert {model.name: KNOWN.match(model.name) for model in KNOWN} == {
        model.name: model.name for model in KNOWN
    }


def test_what_could_be_several_is_none_of_them() -> None:
    names = Names(["m-2025-01-01", "m-2025-06-01"])
    assert names.match("m") is None
    assert names.match("m-20250101") is None or names.match("m-20250101") == "m-2025-01-01"
    assert names.match("m_2025_06_01") == "m-2025-06-01"


@given(st.text(max_size=60))
def test_any_text_has_a_plain_name_that_is_its_own(text: str) -> None:
    plain = plain_name(text)
    assert plain_name(plain) == plain_name(plain_name(plain))
    assert KNOWN.match(text) is None or plain


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="'claude-haiku-5'") as caught:
        KNOWN.get("claude-haiku-5")
    assert "claude-haiku-5-5" in caught.value.remedy


# -- prices --------------------------------------------------------------------------------------------------------


def test_two_sources_that_differ_are_both_kept() -> None:
    quotes = QUOTES["mistral-large-4"]
    assert [(quote.input, quote.output) for quote in quotes] == [
        (Decimal("1.36"), Decimal("4.18")),
        (Decimal("0.7"), Decimal("2.1")),
    ]
    assert not agree(quotes)
    assert [quote.billed for quote in quotes] == [False, True]


def test_of_prices_by_the_hour_the_dearest_is_quoted_whatever_the_hour() -> None:
    model = KNOWN.get("deepseek-v4-pro")
    for hour in range(24):
        quotes = quotes_of(model, {}, NOW + hour * 3600 * 10**9)
        assert agree(quotes)
        assert "by the hour: input from $0.66" in quotes[1].note


def test_a_price_of_ones_own_is_the_one_that_is_billed() -> None:
    own = {"azure/gpt-4o-mini": PriceSettings(input=Decimal("0.2"), output=Decimal("0.8"))}
    quotes = quotes_of(KNOWN.get("gpt-4o-mini-2024-07-18"), own, NOW)
    assert [quote.source for quote in quotes][2] == '[prices."azure/gpt-4o-mini"] in ratchet.toml'
    assert [quote.billed for quote in quotes] == [False, False, True]
    assert not agree(quotes)


def test_open_weights_have_no_price_but_their_hosts() -> None:
    assert [
        name for name in ("gpt-oss-120b", "DeepSeek-R1", "Mixtral-8x7B-Instruct-v0.1") if QUOTES[name]
    ] == []


def test_the_listed_price_is_what_calls_are_billed_by() -> None:
    book = PriceBook()
    checked = 0
    for model in KNOWN:
        vendor = VENDORS.get(model.provider.value or "")
        listed = [quote for quote in QUOTES[model.name] if quote.source.startswith("genai-prices")]
        price = book.price_of(vendor, model.name) if vendor and listed else None
        if price is None or "by the hour" in listed[0].note:
            continue
        rates = price.rates(NOW, "")
        assert rates.input is not None
        assert rates.output is not None
        assert (listed[0].input, listed[0].output) == (rates.input.base, rates.output.base)
        checked += 1
    assert checked > 20


# -- recommending --------------------------------------------------------------------------------------------------


def test_an_exclusion_names_what_was_found_what_was_needed_the_source_and_its_date() -> None:
    found = judged(Needs(context_tokens=200_000))["gpt-4o-mini-2024-07-18"]
    assert found.verdict == "fails"
    assert found.against[-1].says == "context 128,000 < 200,000 (litellm price map 1.109.1, 2026-11)"


def test_every_exclusion_says_why() -> None:
    needs = Needs(
        commercial=True,
        context_tokens=200_000,
        output_tokens=32_000,
        max_input_usd=Decimal(1),
        max_output_usd=Decimal(5),
        monthly_usd=Decimal(100),
        traffic=Traffic(requests=100_000, input_tokens=1200, output_tokens=300),
        fine_tunable="any",
        data_stays=True,
        modalities=("image", "audio"),
        tools=True,
        structured_output=True,
        reasoning=True,
        until=datetime.date(2027, 6, 1),
        here=True,
    )
    found = judged(needs)
    for each in found.values():
        assert (each.verdict == "fails") == bool(each.against), each.model
        assert all(finding.says for finding in each.findings)
    assert {finding.need for each in found.values() for finding in each.findings} == {
        *("available", "commercial", "context", "output", "input price", "output price", "monthly cost"),
        *("tools", "structured output", "reasoning", "image", "audio", "fine-tunable", "data stays", "here"),
    }


def test_an_unknown_fact_is_to_be_checked_and_excludes_only_where_that_is_wanted() -> None:
    needs = Needs(output_tokens=8000)
    name = "mistral-small-2603"
    found = judged(needs)[name]
    assert (found.verdict, found.open[0].says) == ("unknown", "output unknown: check")
    strict = judged(needs, known_only=True)[name]
    assert (strict.verdict, strict.against[0].says) == ("fails", "output unknown: check")


@pytest.mark.parametrize("known_only", [False, True])
def test_unknown_is_never_taken_for_no(known_only: bool) -> None:
    """Whatever is asked: where the only fact in question is unknown, nothing says that it fails to have it."""
    for model in KNOWN:
        blank = msgspec.structs.replace(
            model, **{name: Fact() for name in FACTS if name not in ("status", "provider")}
        )
        found = judge(
            blank,
            Needs(commercial=True, context_tokens=1, tools=True, fine_tunable="any", data_stays=True),
            quotes=(),
            here=(),
            today=TODAY,
            known_only=known_only,
        )
        asked = [each for each in found.findings if each.need != "available"]
        assert {each.verdict for each in asked} == {"fails" if known_only else "unknown"}
        assert all(each.says.endswith("unknown: check") for each in asked)


def test_what_fits_comes_first_and_of_that_the_cheapest() -> None:
    found = recommend(KNOWN, Needs(tools=True), quotes=QUOTES, here={}, today=TODAY)
    order = [("fits", "unknown", "fails").index(each.verdict) for each in found]
    assert order == sorted(order)
    assert found[0].model in ("amazon.nova-micro-v1:0", "gpt-6-luna", "claude-haiku-5-5")


def test_sources_that_disagree_about_the_budget_leave_it_open() -> None:
    found = judged(Needs(max_input_usd=Decimal(1)))["mistral-large-4"]
    assert found.verdict == "unknown"
    said = says(found, "input price")
    assert "$1.36 > $1 a million tokens (litellm price map 1.109.1, 2026-11)" in said
    assert "$0.7 ≤ $1 a million tokens (genai-prices" in said
    assert said.endswith("sources differ: check")


def test_a_months_cost_is_exact() -> None:
    traffic = Traffic(requests=100_000, input_tokens=1200, output_tokens=300, cached_share=Decimal("0.5"))
    found = judged(Needs(monthly_usd=Decimal("21.6"), traffic=traffic))["gpt-6-luna"]
    # 100,000 × (600 × $0.1 + 600 × $0.01 + 300 × $0.5) / 1,000,000
    assert found.monthly_usd == Decimal("21.6")
    assert found.verdict == "fits"
    assert judged(Needs(monthly_usd=Decimal("21.59"), traffic=traffic))["gpt-6-luna"].verdict == "fails"


def test_without_a_cached_price_the_cache_costs_as_the_input() -> None:
    quote = Quote(source="s", date="", input=Decimal(2), cached=None, output=Decimal(4))
    assert quote.monthly(10, 1000, 100, Decimal("0.9")) == Decimal("0.024")
    assert msgspec.structs.replace(quote, output=None).monthly(10, 1000, 100, Decimal(0)) is None


@pytest.mark.parametrize(
    ("name", "until", "verdict"),
    [
        ("gemini-2.5-flash", "2026-11-30", "fits"),
        ("gemini-2.5-flash", "2026-12-01", "fails"),
        ("amazon.nova-premier-v1:0", "2026-01-01", "fails"),  # gone today, whatever is asked
        ("gpt-4", "2026-11-21", "fails"),
        ("claude-opus-5-5", "2030-01-01", "fits"),
    ],
)
def test_what_is_retired_by_then_is_out(name: str, until: str, verdict: str) -> None:
    assert judged(Needs(until=datetime.date.fromisoformat(until)))[name].verdict == verdict


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("claude-opus-5-5", "fits"),  # sold under its maker's terms
        ("phi-4", "fits"),  # MIT
        ("Llama-3.3-70B-Instruct", "unknown"),  # conditions
        ("command-a-03-2025", "unknown"),  # non-commercial weights, and an API under other terms
        ("OPT", "fails"),
    ],
)
def test_whether_a_licence_permits_commercial_use(name: str, verdict: str) -> None:
    findings = judged(Needs(commercial=True))[name].findings
    assert next(each.verdict for each in findings if each.need == "commercial") == verdict


def test_data_stays_only_with_published_weights() -> None:
    found = judged(Needs(data_stays=True))
    assert found["phi-4"].verdict == "fits"
    assert found["claude-opus-5-5"].verdict == "fails"


def test_a_modality_that_is_not_documented_is_not_denied() -> None:
    found = judged(Needs(modalities=("audio",)))["claude-opus-5-5"]
    assert found.verdict == "unknown"
    assert "audio unknown: check" in found.open[0].says


def test_who_serves_it_here() -> None:
    here: Mapping[str, list[str]] = {"claude-opus-5-5": ["anthropic"]}
    found = {
        each.model: each for each in recommend(KNOWN, Needs(here=True), quotes=QUOTES, here=here, today=TODAY)
    }
    assert says(found["claude-opus-5-5"], "here") == "served by anthropic"
    assert found["gpt-6-luna"].verdict == "fails"
    assert found["phi-4"].verdict == "unknown"


# -- leaderboards --------------------------------------------------------------------------------------------------

CSV = """Model,benchmark,score,date,source,licence
meta-llama/Llama-3.1-8B-Instruct,IFEval,0.7876,2024-12,Open LLM Leaderboard,llama3.1
GPT-4o mini (2024-07-18),MMLU-Pro,0.603,2025-01-10,HELM,
someone/a-model,MMLU,0.5,2024,Open LLM Leaderboard,
meta-llama/Llama-3.1-70B-Instruct,MMLU,0.5,2024,Open LLM Leaderboard,

gpt-4o-mini,MMLU-Pro,0.61,2025-02,HELM,
"""


def test_scores_are_matched_to_the_catalogue_and_the_rest_is_told() -> None:
    found = match_lines(read_lines(CSV), KNOWN, now=NOW, by="ada@example.org")
    assert [(hint.model, hint.benchmark, hint.score, hint.listed_as) for hint in found.hints] == [
        ("Llama-3.1-8B-Instruct", "IFEval", 0.7876, "meta-llama/Llama-3.1-8B-Instruct"),
        ("gpt-4o-mini-2024-07-18", "MMLU-Pro", 0.61, "gpt-4o-mini"),
    ]
    assert [(each.name, each.scores) for each in found.unmatched] == [
        ("meta-llama/Llama-3.1-70B-Instruct", 1),
        ("someone/a-model", 1),
    ]
    assert "Llama-3.3-70B-Instruct" in found.unmatched[0].near


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("model,score\n", "no column benchmark and no column date and no column source"),
        (f"{','.join(COLUMNS)}\nm,b,high,2024,s\n", "row 2: score is 'high', expected a number"),
        (f"{','.join(COLUMNS)}\nm,b,nan,2024,s\n", "row 2: score is 'nan'"),
        (f"{','.join(COLUMNS)}\nm,b,1,May,s\n", "row 2: date is 'May', expected 2026, 2026-05 or 2026-05-31"),
        (f"{','.join(COLUMNS)}\nm,b,1,2024-13,s\n", "row 2: date"),
        (f"{','.join(COLUMNS)}\nm,,1,2024,s\n", "row 2: benchmark is ''"),
        (f"{','.join(COLUMNS)}\nm,b\n", "row 2: source is ''"),
        (f'{",".join(COLUMNS)}\n"m,b\n', "no CSV"),
    ],
)
def test_a_wrong_file_is_refused_with_the_row(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_lines(text)
    assert said in caught.value.message


def test_an_empty_model_has_no_hosts() -> None:
    model = msgspec.structs.replace(KNOWN.get("gpt-6-luna"), provider=Fact())
    assert isinstance(model, Model)
    assert len(quotes_of(model, {}, NOW)) == 1
