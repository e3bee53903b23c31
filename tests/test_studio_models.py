"""Models in the studio: the list, one model, recommendations, stars, imported scores. Pages and API say the same."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from browser.studio_harness import Clock, Studio, running_studio, words_of
from ratchet.app.in_force import CurrentSettings
from ratchet.app.settings import config_file
from ratchet.catalog.models import FACTS, catalogue
from ratchet.domain.access import Role
from ratchet.domain.spans import Span
from ratchet.store.spans import SpanStore
from ratchet.studio.scatter import Point, scatter

SECOND = 10**9
FILE = """
[providers.openai]
kind = "openai"
api_key = "env:OPENAI_API_KEY"

[providers.vllm]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"

[providers.lab]
kind = "simulator"

[routes.own]
targets = ["vllm/meta-llama/Llama-3.1-8B-Instruct"]

[prices."openai/gpt-4o-mini"]
input = "0.2"
output = "0.8"
"""
CSV = "model,benchmark,score,date,source\nphi-4,MMLU,0.848,2025-01,HELM\nphi-5,MMLU,0.9,2026,HELM\n"


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('models')}/spans")
    opened.insert_spans(
        [
            *calls("openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18", 2 * SECOND, 5),
            *calls("lab/gpt-4o-mini", "gpt-4o-mini-2024-07-18", SECOND // 100, 50),
            *calls("lab/claude-haiku-4-5", "claude-haiku-4-5-20251001", SECOND, 3),
            *calls("vllm/own-model", "own-model", SECOND, 3),
        ],
        token="models",
    )
    yield opened
    opened.close()


def calls(target: str, model: str, duration: int, count: int) -> list[Span]:
    now = time.time_ns()
    return [
        Span(
            project_id="default", trace_id=f"{abs(hash((target, number))):032x}"[-32:], span_id=f"{number:016x}",
            name="chat", source="gateway", operation="chat", start=now - number * SECOND, duration=duration,
            time_to_first_token=duration // 2, status="ok", target=target, route=target,
            request_model=target.partition("/")[2], response_model=model, output_tokens=50,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    (tmp_path / "ratchet.toml").write_text(FILE)
    source = config_file(tmp_path / "ratchet.toml", {})
    current = CurrentSettings(source, source.read())
    with running_studio(
        tmp_path, spans=spans, clock=Clock(time.time_ns()), in_force=current.in_force
    ) as running:
        yield running


def client(studio: Studio, role: Role = Role.VIEWER) -> Any:
    return studio.visitor(role)


def ask(studio: Studio, path: str, role: Role = Role.VIEWER) -> Any:
    answer = client(studio, role).get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(found: list[Any]) -> list[str]:
    return [each["model"]["name"] for each in found]


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return words_of(answer.text)


# -- the list ------------------------------------------------------------------------------------------------------


def test_every_model_with_every_fact_and_its_sources(studio: Studio) -> None:
    found = ask(studio, "/api/models")
    assert names(found) == [model.name for model in catalogue()]
    for each in found:
        facts = {name: each["model"][name] for name in FACTS}
        assert all((fact["value"] is None) == (fact["sources"] == []) for fact in facts.values())


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("provider=openai", lambda it: it["provider"]["value"] == "OpenAI"),
        ("licence_class=permissive&tools=1", lambda it: it["tools"]["value"] is True),
        ("data_location=anywhere&modality=image", lambda it: "image" in it["modalities_in"]["value"]),
        ("q=claude+haiku", lambda it: "haiku" in it["name"]),
        ("status=historical", lambda it: it["status"]["value"] == "historical"),
    ],
)
def test_filters_leave_what_is_known_to_be_that(studio: Studio, query: str, holds: Any) -> None:
    found = ask(studio, f"/api/models?{query}")
    assert found
    assert all(holds(each["model"]) for each in found)
    every = ask(studio, "/api/models")
    assert len(found) < len(every)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_sorting_puts_the_unknown_last_whichever_way(studio: Studio, order: str) -> None:
    found = ask(studio, f"/api/models?sort=context&order={order}")
    values = [each["model"]["context_tokens"]["value"] for each in found]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=order == "desc")
    assert values[len(known) :] == [None] * (len(values) - len(known))
    assert len(known) < len(values)


def test_a_wrong_parameter_is_refused_by_name(studio: Studio) -> None:
    for path in (
        "/api/models?sort=price",
        "/api/models?provder=x",
        "/api/models/recommend?context_tokens=many",
    ):
        answer = client(studio).get(path)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] in ("sort", "provder", "context_tokens")


def test_the_list_comes_as_a_file(studio: Studio) -> None:
    answer = client(studio).get("/models?format=csv&provider=OpenAI")
    lines = answer.text.splitlines()
    assert lines[0].startswith("\ufeffname,provider,family,status")
    assert len(lines) == 14


def test_a_name_with_a_slash_has_a_page(studio: Studio) -> None:
    page = client(studio).get("/models")
    (address,) = re.findall(r'href="(/models/StableLM[^"]*)"', page.text)
    # The test's client decodes an address once more than a server does.
    assert "StableLM / StableLM tuned" in text_of(client(studio).get(address.replace("%25", "%2525")))


# -- here ----------------------------------------------------------------------------------------------------------


def test_speed_is_that_of_real_calls_as_soon_as_there_are_any(studio: Studio) -> None:
    found = {each["model"]["name"]: each for each in ask(studio, "/api/models")}
    mini, haiku = found["gpt-4o-mini-2024-07-18"], found["claude-haiku-4-5"]
    assert (mini["speed"]["calls"], mini["speed"]["latency_p50"], mini["simulated"]) == (5, 2 * SECOND, False)
    assert mini["speed"]["tokens_per_second"] == pytest.approx(50)
    assert (haiku["speed"]["calls"], haiku["simulated"]) == (3, True)
    assert found["gpt-5.5"]["speed"] is None


def test_a_models_page_tells_its_targets_apart(studio: Studio) -> None:
    shown = ask(studio, "/api/models/gpt-4o-mini")
    assert [(each["target"], each["simulated"], each["speed"]["calls"]) for each in shown["targets"]] == [
        ("lab/gpt-4o-mini", True, 50),
        ("openai/gpt-4o-mini", False, 5),
    ]
    assert "simulated" in text_of(client(studio).get("/models/gpt-4o-mini"))


def test_who_serves_it_here(studio: Studio) -> None:
    found = {each["model"]["name"]: each["here"] for each in ask(studio, "/api/models")}
    assert found["gpt-5.5"] == ["openai"]  # its maker's own
    assert found["Llama-3.1-8B-Instruct"] == ["vllm"]  # a route names it
    assert found["gpt-oss-120b"] == []  # open weights: its maker's API does not serve them
    assert found["claude-haiku-4-5"] == []  # only a simulator answered
    assert "gpt-5.5" not in names(
        [each for each in ask(studio, "/api/models?q=gpt&here=1") if not each["here"]]
    )


def test_prices_of_three_sources_stand_side_by_side(studio: Studio) -> None:
    known = ask(studio, "/api/models/gpt-4o-mini")["known"]
    assert [(Decimal(quote["input"]), quote["billed"]) for quote in known["quotes"]] == [
        (Decimal("0.15"), False),
        (Decimal("0.15"), False),
        (Decimal("0.2"), True),
    ]
    assert known["prices_agree"] is False
    page = text_of(client(studio).get("/models/gpt-4o-mini"))
    assert "Sources name different prices" in page
    assert '[prices."openai/gpt-4o-mini"] in ratchet.toml' in page
    assert "Sources name different prices" not in text_of(client(studio).get("/models/gpt-5.5"))


def test_every_fact_on_a_models_page_has_its_source_beside_it(studio: Studio) -> None:
    for name in ("gpt-6.1-sol", "phi-4", "OPT"):
        page = client(studio).get(f"/models/{name}").text
        table = page.partition('id="h-facts"')[2].partition("</table>")[0]
        rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
        assert len(rows) == len(FACTS)
        for row in rows:
            unknown = '<span class="unknown">unknown</span>' in row
            assert unknown != ('class="source"' in row), row


# -- recommending --------------------------------------------------------------------------------------------------


def test_the_page_and_the_api_judge_alike(studio: Studio) -> None:
    query = "context_tokens=200,000&commercial=1&max_input_usd=$1&modality=image"
    found = ask(studio, f"/api/models/recommend?{query}")["judgements"]
    page = text_of(client(studio).get(f"/models/recommend?{query}"))
    counts = {
        verdict: sum(each["verdict"] == verdict for each in found) for verdict in ("fits", "unknown", "fails")
    }
    assert len(found) == 72
    assert f"{counts['fits']} models fit" in page
    assert f"{counts['unknown']} models may fit: check" in page
    assert f"{counts['fails']} models left out" in page
    assert "context 128,000 < 200,000 (litellm price map 1.109.1, 2026-11)" in page


def test_a_browser_sends_a_parameter_for_each_tick(studio: Studio) -> None:
    ticks = ask(studio, "/api/models/recommend?modality=image&modality=audio")
    assert ticks["needs"]["modalities"] == ["image", "audio"]
    assert ticks == ask(studio, "/api/models/recommend?modality=image,audio")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("monthly_usd=5", "monthly_usd"),
        ("requests=10&input_tokens=5", "answer_tokens"),
        ("cached_share=2", "cached_share"),
        ("until=soon", "until"),
        ("modality=smell", "modality"),
        ("fine_tunable=yes", "fine_tunable"),
        ("commercial=true", "commercial"),
        ("max_input_usd=nan", "max_input_usd"),
        ("context_tokens=-1", "context_tokens"),
    ],
)
def test_a_wrong_need_is_told_and_what_was_typed_stays(studio: Studio, query: str, param: str) -> None:
    answer = client(studio).get(f"/api/models/recommend?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    page = client(studio).get(f"/models/recommend?{query}&output_tokens=77")
    assert page.status_code == 400
    assert 'value="77"' in page.text


def test_unknown_is_out_only_where_that_is_wanted(studio: Studio) -> None:
    loose = ask(studio, "/api/models/recommend?output_tokens=8000")["judgements"]
    strict = ask(studio, "/api/models/recommend?output_tokens=8000&known_only=1")["judgements"]
    assert any(each["verdict"] == "unknown" for each in loose)
    assert not any(each["verdict"] == "unknown" for each in strict)


# -- opinions ------------------------------------------------------------------------------------------------------


def test_stars_from_the_page_and_by_api_are_one_opinion(studio: Studio) -> None:
    browser = client(studio, Role.ANNOTATOR)
    saved = browser.post("/models/phi-4/stars", data={"stars": "2", "comment": "slow"})
    assert saved.headers["location"] == "/models/phi-4?saved=1#stars"
    made = browser.post("/api/models/microsoft%25252Fphi-4/stars", json={"stars": 4, "comment": "better"})
    assert (made.status_code, made.json()["stars"], made.json()["model"]) == (201, 4, "phi-4")
    known = ask(studio, "/api/models/phi-4")
    assert [(star["member"], star["stars"], star["comment"]) for star in known["stars"]] == [
        ("annotator@example.org", 4, "better")
    ]
    assert known["known"]["rating"] == {"mean": 4.0, "count": 1}
    assert browser.post("/models/phi-4/stars", data={"stars": ""}).status_code == 303
    assert ask(studio, "/api/models/phi-4")["stars"] == []
    assert browser.delete("/api/models/phi-4/stars").status_code == 404


def test_wrong_stars_are_told_and_the_comment_stays(studio: Studio) -> None:
    answer = client(studio, Role.ANNOTATOR).post(
        "/models/phi-4/stars", data={"stars": "9", "comment": "so good"}
    )
    assert answer.status_code == 400
    assert "so good" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "role"),
    [
        ("POST", "/api/models/phi-4/stars", {"stars": 3}, Role.VIEWER),
        ("DELETE", "/api/models/phi-4/stars", None, Role.VIEWER),
        ("POST", "/models/phi-4/stars", None, Role.VIEWER),
        ("POST", "/api/models/scores", {"lines": []}, Role.ANNOTATOR),
        ("POST", "/models/scores", None, Role.ANNOTATOR),
    ],
)
def test_roles(studio: Studio, method: str, path: str, body: Any, role: Role) -> None:
    assert client(studio, role).request(method, path, json=body).status_code == 403


def test_scores_are_imported_from_the_page_and_what_did_not_match_is_told(studio: Studio) -> None:
    browser = client(studio, Role.DEVELOPER)
    page = text_of(browser.post("/models/scores", files={"file": ("scores.csv", CSV, "text/csv")}))
    assert "1 score kept, as hints." in page
    assert "phi-5 : perhaps phi-4" in page
    (hint,) = ask(studio, "/api/models/phi-4")["hints"]
    assert (hint["benchmark"], hint["score"], hint["date"], hint["source"]) == (
        "MMLU",
        0.848,
        "2025-01",
        "HELM",
    )
    assert "hint" in text_of(client(studio).get("/models/phi-4"))


@pytest.mark.parametrize("content", [b"model,score\n", b"\xff\xfe\x00", CSV.replace("0.9", "good").encode()])
def test_a_wrong_file_keeps_nothing(studio: Studio, content: bytes) -> None:
    answer = client(studio, Role.DEVELOPER).post(
        "/models/scores", files={"file": ("s.csv", content, "text/csv")}
    )
    assert answer.status_code == 400
    assert ask(studio, "/api/models/phi-4")["hints"] == []


def test_one_wrong_line_of_a_program_keeps_nothing(studio: Studio) -> None:
    line = {"model": "phi-4", "benchmark": "MMLU", "score": 1, "date": "2025", "source": "HELM"}
    answer = client(studio, Role.DEVELOPER).post(
        "/api/models/scores", json={"lines": [line, {**line, "date": "May"}]}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "date")
    assert ask(studio, "/api/models/phi-4")["hints"] == []


def test_chosen_models_stand_side_by_side(studio: Studio) -> None:
    page = text_of(client(studio).get("/models/compare?model=phi-4&model=gpt-5.5&model=phi-4"))
    assert page.index("phi-4") < page.index("gpt-5.5")
    assert "Compare 2" in page
    assert "Nothing to compare yet" in text_of(client(studio).get("/models/compare"))
    assert client(studio).get("/models/compare?model=nobodys").status_code == 404


# -- the chart -----------------------------------------------------------------------------------------------------


def test_the_chart_holds_price_against_what_there_is(studio: Studio) -> None:
    developer = client(studio, Role.DEVELOPER)
    assert "Price and tokens a second, measured here" in developer.get("/models").text
    for name, stars in (("gpt-5.5", 5), ("gpt-5.4-mini", 3), ("mistral-large-4", 2)):
        developer.post(f"/api/models/{name}/stars", json={"stars": stars})
    page = developer.get("/models?chart=stars").text
    assert "Price and stars of members" in page
    assert page.count("<circle") == 3
    assert "gpt-5.5: $11 a million tokens, 5 of 5 stars" in page


def plain(value: float) -> str:
    return f"{value:g}"


def test_the_front_is_what_nothing_beats_in_both() -> None:
    points = [
        Point("a", "", 1, 5, ""),
        Point("b", "", 1, 4, ""),
        Point("c", "", 10, 9, ""),
        Point("d", "", 20, 9, ""),
    ]
    found = scatter(points, title="", x_label="", y_label="", money=plain, number=plain)
    assert found is not None
    assert {dot.point.name for dot in found.dots if dot.best} == {"a", "c"}
    assert all(0 <= dot.x <= 100 and 0 <= dot.y <= 100 for dot in found.dots)
    assert found.dots[0].x < found.dots[-1].x
    assert scatter(points[:1], title="", x_label="", y_label="", money=plain, number=plain) is None


@pytest.mark.parametrize("prices", [(1, 1), (0.001, 900), (2, 3), (0.5, 40)])
def test_prices_lie_on_an_axis_with_labels_between(prices: tuple[float, float]) -> None:
    points = [Point(str(price), "", price, 1, "") for price in prices]
    found = scatter(points, title="", x_label="", y_label="", money=plain, number=plain)
    assert found is not None
    assert 1 <= len(found.x_ticks) <= 7
    assert all(0 <= tick.at <= 100 for tick in found.x_ticks)
