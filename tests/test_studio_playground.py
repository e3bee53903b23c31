"""The playground over a real gateway: drafts, streams, answers that are kept, code that runs, versions and cases."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import RunningGateway

from browser.studio_harness import Clock, Studio, running_studio, text_of
from ratchet.app.in_force import CurrentSettings
from ratchet.app.settings import config_file
from ratchet.catalog.prices import PriceBook
from ratchet.domain.access import Role
from ratchet.domain.playground import Column, ColumnAnswer, DraftMessage, DraftState
from ratchet.domain.prompts import PromptVersion, Template, TemplateMessage
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.prompts.hashing import content_hash
from ratchet.store.records import Records
from ratchet.store.records.datasets import dataset_named, read_cases
from ratchet.store.records.drafts import (
    MOST_DRAFTS,
    answers_of,
    change_draft,
    create_draft,
    draft_of,
    drop_draft,
    keep_answer,
    list_drafts,
)
from ratchet.store.records.prompts import NewVersion, newest_version, push_versions
from ratchet.store.spans import SpanStore
from ratchet.studio.column_runs import candidate_of
from ratchet.telemetry.collector import Collector

NOW = 1_790_000_000 * 10**9
TOOL = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}},
}  # fmt: skip
Walk = Callable[[Studio, Any], None]


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('playground')}/spans")
    yield opened
    opened.close()


@contextmanager
def collecting(gateway: RunningGateway, spans: SpanStore) -> Iterator[None]:
    """What the gateway spools is in the store a moment later, as it is where a studio runs."""
    collector = Collector(
        gateway.folder / "spool", gateway.folder / "collector.json", insert=spans,
        price=PriceBook().price_span, now=time.time_ns,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


async def walking(
    gateway: RunningGateway,
    folder: Path,
    spans: SpanStore,
    walk: Walk,
    role: Role = Role.DEVELOPER,
    **services: Any,
) -> None:
    """`walk` is handed a studio beside the gateway, and a browser that is signed in."""
    source = config_file(gateway.config, {})
    current = CurrentSettings(source, source.read())

    def run() -> None:
        with (
            collecting(gateway, spans),
            running_studio(
                folder, spans=spans, clock=Clock(time.time_ns()), records=gateway.records,
                gateway_address=gateway.url, gateway_url=gateway.url, in_force=current.in_force, **services,
            ) as studio,
        ):  # fmt: skip
            walk(studio, studio.visitor(role))

    await asyncio.to_thread(run)


def form(
    *models: str, content: str = "{{ question }}", question: str = "When are you open?", **fields: str
) -> dict[str, Any]:
    typed: dict[str, Any] = {"column": [], "v.question": question}
    for number, model in enumerate(models, 1):
        typed["column"].append(str(number))
        typed |= {f"c{number}.model": model, f"c{number}.role": ["user"], f"c{number}.content": [content]}
        typed |= {f"c{number}.{name}": text for name, text in fields.items()}
    return typed


def kept(client: Any, typed: dict[str, Any], path: str = "/playground", revision: int = 0) -> Any:
    answer = client.post(
        path,
        data={**typed, "revision": str(revision or ""), "do": "save"},
        headers={"accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(client: Any, draft: str, column: int = 1) -> list[Any]:
    """The pieces of a column's answer."""
    answer = client.post(f"/playground/{draft}/columns/{column}/run")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]


# -- asking --------------------------------------------------------------------------------------------------------


async def test_an_answer_comes_in_pieces_and_is_kept_with_its_figures(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        draft = kept(client, form("sim/gpt-4o-mini", "support"))["id"]
        for column in (1, 2):
            pieces = run(client, draft, column)
            words = "".join(piece["text"] for piece in pieces if piece.get("type") == "text")
            assert len(pieces) > 5
            assert ["html" in piece for piece in pieces[-2:]] == [True, True]
            answer = answers_of(studio.records, draft_of(studio.records, draft, project_id="default"))[column]
            assert answer.text == words != ""
            assert answer.recorded
            assert answer.cost is not None
            assert answer.output_tokens
            assert answer.time_to_first_token
            assert answer.duration >= answer.time_to_first_token
            page = client.get(f"/playground/{draft}")
            assert words in unescape(page.text)
            assert f"/traces/{answer.trace_id}" in page.text
            assert "To what was written before" not in page.text
        changed = kept(client, form("sim/gpt-4o", "support"), f"/playground/{draft}", 1)
        assert [each["stale"] for each in changed["columns"]] == [True, False]

    await walking(gateway, tmp_path, spans, walk)


async def test_tools_are_called_and_a_schema_is_kept_to(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    schema = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}'

    def walk(studio: Studio, client: Any) -> None:
        asked = form(
            "sim/gpt-4o",
            question="Where is my order 1042?",
            tools=json.dumps([TOOL]),
            more='{"tool_choice": "required"}',
        )
        pieces = run(client, kept(client, asked)["id"])
        calls = [piece for piece in pieces if piece.get("type") == "call"]
        assert calls[0]["name"] == "find_order"
        assert isinstance(json.loads("".join(call["arguments"] for call in calls))["order"], int)
        assert "find_order" in pieces[-1]["html"]
        pieces = run(client, kept(client, form("sim/gpt-4o", schema=schema))["id"])
        answer = json.loads("".join(piece["text"] for piece in pieces if piece.get("type") == "text"))
        assert list(answer) == ["city"]

    await walking(gateway, tmp_path, spans, walk)


async def test_what_goes_wrong_is_an_answer_too(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        draft = kept(client, form("nobodys/model", "sim/gpt-4o"))["id"]
        assert "nobodys" in run(client, draft)[-1]["html"]
        broken = kept(client, form("sim/gpt-4o", temperature="warm"))
        assert (broken["columns"][0]["param"], broken["columns"][0]["code"]) == ("temperature", "")
        refused = client.post(
            f"/playground/{broken['id']}/columns/1/run", headers={"accept": "application/json"}
        )
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "temperature")
        assert client.post(f"/playground/{draft}/columns/9/run").status_code == 404
        assert client.get("/playground/nobodys").status_code == 404

    await walking(gateway, tmp_path, spans, walk)


async def test_nothing_is_lost_where_no_gateway_answers(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk() -> None:
        with running_studio(tmp_path / "alone", spans=spans, clock=Clock(time.time_ns())) as studio:
            client = studio.visitor(Role.DEVELOPER)
            draft = kept(client, form("sim/gpt-4o"))["id"]
            (piece,) = run(client, draft)
            assert "did not answer" in piece["html"]
            assert "did not answer" in text_of(client.get(f"/playground/{draft}"))

    await asyncio.to_thread(walk)


async def test_without_scripts_the_page_waits_for_all_answers(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        done = client.post("/playground", data={**form("sim/gpt-4o", "sim/gpt-4o-mini"), "do": "run"})
        assert done.status_code == 303
        page = client.get(done.headers["location"])
        assert page.text.count('<div class="answer">') == 2
        assert "not recorded yet" not in page.text

    await walking(gateway, tmp_path, spans, walk)


async def test_the_code_on_the_page_runs_as_it_is_and_asks_the_same(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        asked = form(
            "sim/gpt-4o", temperature="0.2", more='{"seed": 7, "stop": null}', tools=json.dumps([TOOL])
        )
        summary = kept(client, asked)
        run(client, summary["id"])
        page = client.get(f"/playground/{summary['id']}").text
        code = unescape(re.findall(r"<pre[^>]*data-code>(.*?)</pre>", page, re.DOTALL)[0])
        assert code == summary["columns"][0]["code"]
        script = tmp_path / "shown.py"
        script.write_text(code)
        environment = {**os.environ, "RATCHET_KEY": gateway.key}
        done = subprocess.run(
            [sys.executable, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        first, second = gateway.calls()[-2:]
        assert json.loads(first.request) == json.loads(second.request)
        assert done.stdout.strip()

    await walking(gateway, tmp_path, spans, walk)


# -- drafts --------------------------------------------------------------------------------------------------------


async def test_buttons_change_the_draft_and_keep_what_was_typed(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        made = client.post("/playground", data={**form("sim/a"), "do": "copy:1"})
        place = made.headers["location"].partition("#")[0]
        draft = draft_of(studio.records, place.rpartition("/")[2], project_id="default")
        assert [(each.id, each.model) for each in draft.state.columns] == [(1, "sim/a"), (2, "sim/a")]
        page = client.get(place)
        assert page.text.count('data-column="') == 2
        assert "When are you open?" in page.text
        stale = client.post(
            place,
            data={**form("sim/b"), "revision": "1", "do": "save"},
            headers={"accept": "application/json"},
        )
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "changed_meanwhile")
        assert [each["id"] for each in client.get("/api/drafts").json()] == [draft.id]
        assert client.get("/playground").headers["location"] == place
        assert client.post(f"{place}/delete").headers["location"] == "/playground"
        assert client.get(place).status_code == 404

    await walking(gateway, tmp_path, spans, walk)


async def test_a_call_opens_from_its_trace_with_its_inputs(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        draft = kept(client, form("sim/gpt-4o", temperature="0.4"))["id"]
        run(client, draft)
        answer = answers_of(studio.records, draft_of(studio.records, draft, project_id="default"))[1]
        trace = client.get(f"/traces/{answer.trace_id}")
        (address,) = re.findall(r'href="(/playground\?trace=[^"]+)"', trace.text)
        page = client.get(unescape(address))
        assert 'value="sim/gpt-4o"' in page.text
        assert 'value="0.4"' in page.text
        assert "When are you open?" in page.text
        assert f'value="{answer.trace_id}/' in page.text
        viewer = studio.client(studio.member(Role.VIEWER))
        assert "/playground" not in viewer.get(f"/traces/{answer.trace_id}").text
        assert client.get(f"/playground?trace={'0' * 32}&span={'0' * 16}").status_code == 404

    await walking(gateway, tmp_path, spans, walk)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR])
async def test_only_those_who_may_spend_may_ask(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore, role: Role
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        assert client.get("/playground").status_code == 403
        assert client.post("/playground", data=form("sim/a")).status_code == 403
        assert client.post("/playground/x/columns/1/run").status_code == 403
        assert client.get("/api/drafts").status_code == 403

    await walking(gateway, tmp_path, spans, walk, role)


# -- keeping -------------------------------------------------------------------------------------------------------


async def test_a_column_becomes_a_version_and_then_asks_for_it_by_name(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        typed = form("sim/gpt-4o", temperature="0.2", save_name="support", save_message="First")
        saved = client.post("/playground", data={**typed, "do": "version:1"})
        assert "Saved as support #1." in text_of(saved)
        version = newest_version(studio.records, "support", project_id="default")
        assert version.template == Template(
            messages=[TemplateMessage(role="user", content="{{ question }}")],
            model="sim/gpt-4o", parameters={"temperature": 0.2},
        )  # fmt: skip
        assert (version.author, version.message) == ("developer@example.org", "First")
        (line,) = client.get("/api/drafts").json()
        draft = draft_of(studio.records, line["id"], project_id="default")
        assert (draft.state.columns[0].prompt, draft.state.columns[0].number) == ("support", 1)
        run(client, draft.id)
        assert gateway.calls()[-1].prompt == "support"
        again = {**form("sim/gpt-4o", temperature="0.2"), "c1.prompt": "support#1", "c1.save_name": "support"}
        done = client.post(
            f"/playground/{draft.id}", data={**again, "revision": str(draft.revision), "do": "version:1"}
        )
        assert "This is already support #1." in text_of(done)

    await walking(gateway, tmp_path, spans, walk)


async def test_a_version_opens_and_loads_into_a_column(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    template = Template(messages=[TemplateMessage(role="system", content="Only {{ language }}.")])
    new = NewVersion(prompt="tongues", template=template, hash=content_hash(template))
    push_versions(gateway.records, [new], project_id="default", author="ada", message="", now=NOW)

    def walk(studio: Studio, client: Any) -> None:
        page = client.get("/playground?prompt=tongues&version=1")
        assert "Only {{ language }}." in unescape(page.text)
        assert 'name="v.language"' in page.text
        loaded = client.post("/playground", data={**form("sim/gpt-4o", load="tongues"), "do": "load:1"})
        assert "Only {{ language }}." in unescape(loaded.text)
        assert 'value="sim/gpt-4o"' in loaded.text  # the version names no model
        missing = client.post("/playground", data={**form("sim/gpt-4o", load="nobodys"), "do": "load:1"})
        assert missing.status_code == 404
        assert "When are you open?" in missing.text

    await walking(gateway, tmp_path, spans, walk)


async def test_columns_are_run_over_a_dataset(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    begun: list[str] = []

    def walk(studio: Studio, client: Any) -> None:
        made = client.post("/api/datasets", json={"name": "shop"})
        assert made.status_code == 201
        cases = [{"input": {"question": "When are you open?"}, "reference": "9 to 18"}]
        client.post("/api/datasets/shop/cases", json={"cases": cases})
        typed = {
            **form("sim/gpt-4o", "route-x"),
            "d.dataset": "shop@1",
            "d.scorers": "contains",
            "do": "dataset",
        }
        refused = client.post("/playground", data=typed)
        assert refused.status_code == 400
        assert "Column 1 is no version of a prompt. Name a prompt to save it under" in text_of(refused)
        assert 'value="shop@1"' in refused.text, "what was typed is still there"
        assert begun == []
        done = client.post("/playground", data={**typed, "d.save_as": "support", "d.max_cost": "0.5"})
        assert "2 candidates over shop@1" in text_of(done)
        assert f'href="/runs/{begun[0]}"' in done.text
        queued = client.get(f"/api/runs/{begun[0]}").json()
        assert queued["settings"]["candidates"] == [{"prompt": "support#1"}, {"prompt": "support#2"}]
        assert (queued["settings"]["dataset"], queued["settings"]["max_cost"]) == ("shop@1", 0.5)
        drafts = [
            draft_of(studio.records, line["id"], project_id="default")
            for line in client.get("/api/drafts").json()
        ]
        held = [[(each.prompt, each.number) for each in draft.state.columns] for draft in drafts]
        assert sorted(held) == [[("", 0), ("", 0)], [("support", 1), ("support", 2)]]
        for field, text, word in (
            ("dataset", "none", "no dataset"),
            ("max_cost", "a", "number"),
        ):
            wrong = client.post("/playground", data={**typed, "d.save_as": "support", f"d.{field}": text})
            assert wrong.status_code in (400, 404), field
            assert word in text_of(wrong)

    await walking(gateway, tmp_path, spans, walk, begin_run=begun.append)


def test_what_a_column_is_as_a_candidate() -> None:
    template = Template(
        messages=[TemplateMessage(role="user", content="{{ q }}")], model="a/b", parameters={"top_p": 0.5}
    )
    version = PromptVersion(
        project_id="default",
        prompt="p",
        number=3,
        hash="h",
        template=template,
        author="a",
        message="",
        created=1,
    )
    said = [DraftMessage("user", "{{ q }}")]
    named = Column(id=1, messages=said, model="c/d", top_p="0.5", temperature="0", prompt="p", number=3)
    assert candidate_of(named, {}, version, 1) == {
        "prompt": "p#3",
        "model": "c/d",
        "parameters": {"temperature": 0.0},
    }
    plain = Column(
        id=1,
        messages=[DraftMessage("system", "Be brief."), DraftMessage("user", "When?"), DraftMessage("assistant", "9")],
        model="route-x", tools=json.dumps([TOOL]), more='{"seed": 7}',
    )  # fmt: skip
    assert candidate_of(plain, {}, None, 1) == {
        "route": "route-x", "system": "Be brief.", "parameters": {"seed": 7, "tools": [TOOL]},
    }  # fmt: skip
    bare = Column(id=1, messages=[DraftMessage("json", '{"role": "user", "content": [1]}')], model="a/b")
    assert candidate_of(bare, {}, None, 1) == {"model": "a/b"}
    with pytest.raises(InvalidRequest, match="Column 2 is no version"):
        candidate_of(Column(id=1, messages=said, model="a/b"), {"q": "?"}, None, 2)


async def test_a_question_and_its_answer_become_a_case_once(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    def walk(studio: Studio, client: Any) -> None:
        typed = form("sim/gpt-4o", dataset="hours", reference="From nine to five.")
        draft = kept(client, typed)["id"]
        run(client, draft)
        place = f"/playground/{draft}"
        assert "Added to the dataset hours, version 1." in text_of(
            client.post(place, data={**typed, "revision": "1", "do": "case:1"})
        )
        dataset = dataset_named(studio.records, project_id="default", name="hours")
        (case,) = read_cases(studio.records, dataset, include_sealed=True)
        answer = answers_of(studio.records, draft_of(studio.records, draft, project_id="default"))[1]
        assert (case.input, case.reference, case.origin) == (
            {"question": "When are you open?"}, "From nine to five.", "playground",
        )  # fmt: skip
        assert (case.previous_answer, case.trace_id) == (answer.text, answer.trace_id)
        again = client.post(place, data={**typed, "revision": "1", "do": "case:1"})
        assert "has such a case already" in text_of(again)

    await walking(gateway, tmp_path, spans, walk)


# -- records -------------------------------------------------------------------------------------------------------

STATE = DraftState(
    columns=[Column(id=1, messages=[DraftMessage("user", "Hi ☃")])], variables={"a": "b"}, origin=("t", "s")
)


def create(records: Records, *, owner: str = "ada@example.org", now: int = NOW) -> Any:
    return create_draft(records, STATE, project_id="default", owner=owner, title="Hi", now=now)


def test_a_draft_comes_back_as_it_was_kept(records: Records) -> None:
    draft = create(records)
    assert draft_of(records, draft.id, project_id="default") == draft
    assert list_drafts(records, project_id="default", owner="bo@example.org") == []
    with pytest.raises(NotFound):
        draft_of(records, draft.id, project_id="another")


def test_who_saves_an_old_revision_is_told(records: Records) -> None:
    draft = create(records)
    newer = change_draft(records, draft, DraftState(), title="", seen=1, now=NOW + 1)
    assert (newer.revision, draft_of(records, draft.id, project_id="default")) == (2, newer)
    with pytest.raises(Conflict, match="another window"):
        change_draft(records, draft, STATE, title="", seen=1, now=NOW + 2)


def test_the_last_answer_to_a_column_is_kept_until_the_draft_goes(records: Records) -> None:
    draft = create(records)
    keep_answer(records, draft.id, 1, ColumnAnswer(text="one", duration=5))
    keep_answer(records, draft.id, 2, ColumnAnswer(error="no"))
    keep_answer(records, draft.id, 1, ColumnAnswer(text="two"))
    assert answers_of(records, draft) == {1: ColumnAnswer(text="two"), 2: ColumnAnswer(error="no")}
    drop_draft(records, draft)
    keep_answer(records, draft.id, 1, ColumnAnswer(text="late"))
    assert answers_of(records, draft) == {}


def test_the_draft_that_was_left_alone_longest_makes_room(records: Records) -> None:
    drafts = [create(records, now=NOW + number) for number in range(MOST_DRAFTS + 1)]
    found = list_drafts(records, project_id="default", owner="ada@example.org")
    assert len(found) == MOST_DRAFTS
    assert drafts[0].id not in {each.id for each in found}
