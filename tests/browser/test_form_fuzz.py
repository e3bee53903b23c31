"""Every form of the studio's pages, sent with what nobody would type: it never fails, and what it changes is written
down in the audit log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import pytest
from dataset_seed import fill_datasets
from guarding_seed import guarding
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from run_seed import fill_runs
from sqlalchemy import func, select
from studio_harness import Clock, Studio, fill, running_studio
from studio_prompts import fill_prompts
from studio_seed import support_traffic

from ratchet.domain.access import Role
from ratchet.store.records import schema
from ratchet.studio.access import Endpoint
from ratchet.studio.navigation import ENTRIES
from ratchet.studio.routes import ENDPOINTS

Form = tuple[str, dict[str, list[str]]]
"""Where it is posted, and its fields with what they hold at first."""

EXAMPLES = 12  # for each address
POSTS = [each for each in ENDPOINTS if not each.api and each.method == "POST"]
GETS = [each for each in ENDPOINTS if not each.api and each.method == "GET"]
AUDITED = [table for table in schema.metadata.sorted_tables if "audited" in table.info]
FEWER = {"/traces/cases": 3}  # examples, of what reads hundreds of traces each time
# Pages that ask a gateway, and say that there is none.
ASKS = re.compile(r"/(providers|routes)/[^/]+/try$")
NOTED = ("sign_in.", "sign_out.", "user.forgotten")  # what is written down though no audited table changes
# Forms that a script builds, or that nobody sees who is signed in.
UNSEEN: dict[str, list[Form]] = {
    "/sign-in": [
        ("/sign-in", {"email": ["admin@example.org"], "password": ["wrong"], "token": [""], "next": ["/"]})
    ],
    "/welcome/{token}": [("/welcome/none", {"email": ["a@example.org"], "password": ["three quiet herons"]})],
    "/playground/{draft_id}/columns/{column_id}/run": [("/playground/none/columns/c1/run", {})],
    "/runs/{run_id}/resume": [("/runs/none/resume", {})],
}


class Forms(HTMLParser):
    """The forms of a page that are posted, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._open: dict[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and given.get("href", "").startswith("/"):
            self.links.append(given["href"])
        if tag == "form":
            self._open = {}
            if given.get("method") == "post":
                self.forms.append((given.get("action", ""), self._open))
        if tag in ("input", "select", "textarea", "button") and self._open is not None and given.get("name"):
            self._open.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def matching(endpoints: list[Endpoint], path: str) -> Endpoint | None:
    return next((each for each in endpoints if each.pattern().match(path)), None)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(
        tmp_path_factory.mktemp("forms"),
        clock=Clock(time.time_ns()),
        collect_at_once=True,
        in_force=guarding,
        begin_run=lambda _run: None,
    ) as running:
        fill(running, support_traffic(running.clock(), traces=5), "support")
        fill_datasets(running)
        fill_prompts(running)
        fill_runs(running)
        yield running


DECLARED: Mapping[str, dict[str, Any]] = {
    "providers": {"name": "shop", "kind": "openai", "api_key": "env:SHOP_KEY"},
    "routes": {"name": "shop", "targets": "shop/small"},
    "limits": {"name": "shop", "requests": "5/minute"},
    "segments": {"name": "shop", "plans": "shop"},
    "budgets": {"name": "shop", "amount": "5"},
    "keys": {"name": "shop"},
    "members": {"email": "shop@example.org", "role": "viewer"},
    "standings": {"kind": "user", "name": "shop", "action": "block"},
    "views": {"page": "/traces", "name": "shop", "query": "user=shop"},
}


def prepare(studio: Studio) -> Any:
    """A browser of an admin's, and something to change on each page: an earlier form may have deleted it."""
    admin = studio.visitor(Role.ADMIN)
    for noun, fields in DECLARED.items():
        assert admin.post(f"/{noun}", data=fields).status_code < 500
    admin.post("/playground", data={"save": "1"})
    return admin


def crawled(studio: Studio) -> dict[str, list[Form]]:
    """The forms that an admin finds by following links, by their endpoints' paths."""
    admin = prepare(studio)
    waiting = [path for entry in ENTRIES for path in (entry.path, *entry.also)]
    waiting += [f"/{noun}/shop" for noun in DECLARED]
    waiting += [f"{path}?new" for path in waiting] + ["/limits?decide", "/sign-in", "/playground?new"]
    seen: dict[tuple[str, str], int] = {}
    found: dict[str, list[Form]] = {}
    done: set[str] = set()
    while waiting:
        address = waiting.pop(0)
        parts = urlsplit(address)
        page = matching(GETS, parts.path)
        if page is None or address in done or "/difference" in address:
            continue
        done.add(address)
        kind = (page.path, " ".join(sorted(re.findall(r"(?:^|&)(\w+)(?==?(?:&|$))", parts.query))))
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] > 2:
            continue
        answer = admin.get(address.partition("#")[0])
        if not answer.headers.get("content-type", "").startswith("text/html"):
            waiting += [answer.headers["location"]] if "location" in answer.headers else []
            continue
        read = Forms()
        read.feed(answer.text)
        waiting += read.links
        for action, fields in read.forms:
            endpoint = matching(POSTS, urlsplit(action or address).path)
            assert endpoint is not None, f"a form of {address} goes nowhere: {action}"
            found.setdefault(endpoint.path, []).append((action or parts.path, fields))
    return found


@pytest.fixture(scope="module")
def forms(studio: Studio) -> dict[str, list[Form]]:
    found = {**UNSEEN, **crawled(studio)}
    assert set(found) == {each.path for each in POSTS}, "every address that a form may be posted to"
    # Whoever takes their own account away has no pages to look at.
    return {
        path: [each for each in some if "admin@" not in unquote(each[0])] or some
        for path, some in found.items()
    }


def state(studio: Studio) -> dict[tuple[str, Any], tuple[Any, ...]]:
    """Every row that an admin cares about, by its key, less what only says when it was written."""
    rows: dict[tuple[str, Any], tuple[Any, ...]] = {}
    with studio.records.read() as connection:
        for table in AUDITED:
            for row in connection.execute(select(table)).mappings():
                if row.get("created_by") == table.info.get("unless_by", ""):
                    continue
                key = table.name, tuple(row[column.name] for column in table.primary_key)
                rows[key] = tuple(
                    repr(row[each.name]) for each in table.c if each.name not in ("updated", "updated_by")
                )
    return rows


def written_down(studio: Studio, after: int) -> list[Any]:
    with studio.records.read() as connection:
        return list(connection.execute(select(schema.audit).where(schema.audit.c.id > after)).mappings())


def last_row(studio: Studio) -> int:
    with studio.records.read() as connection:
        return connection.scalar(select(func.max(schema.audit.c.id))) or 0


HOSTILE = (
    "", " ", "\x00", "shop", "\u202eshop\ufeff", "-1", "0", "1e999", "NaN", "Infinity", "٣", "9" * 400, "true", "[]", "{}",
    "[" * 3000, '{"a": ' * 3000, "null", '"', "'; DROP TABLE keys; --", "../../etc/passwd", "a\r\nset-cookie: b=c", "\n" * 500,
    "x" * 100_000, "\U0001f600" * 400, "%00%ff", "{{ 7*7 }}", '"><script>alert(1)</script>', "env:", "http://[::1", "9999-99-99",
    "1" * 30 + "d", "simulator/", "/", "shop@", "prompt:@", "﷽" * 90,
)  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def filled_in(fields: Mapping[str, list[str]]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Each field as it was, otherwise, several times, or not at all; and one that no form has."""
    each = [
        st.sampled_from([[(name, value) for value in values[:3]], []])
        | st.lists(TEXTS, min_size=1, max_size=3).map(
            lambda texts, name=name: [(name, text) for text in texts]
        )
        for name, values in fields.items()
    ]
    more = st.lists(st.tuples(st.sampled_from(["extra", "", "name[]", "__proto__"]), TEXTS), max_size=1)
    return st.tuples(*each, more).map(lambda parts: [pair for part in parts for pair in part])


def sent(form: Form, endpoint: Endpoint) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Where to, and what: a form as browsers send it, or a body that calls itself one."""
    action, fields = form
    elsewhere = st.lists(TEXTS.filter(bool), min_size=3, max_size=3).map(
        lambda texts: re.sub(r"\{\w+\}", lambda _: quote(texts.pop()[:700], safe=""), endpoint.path)
    )
    url_encoded = filled_in(fields).map(
        lambda pairs: {
            "content": urlencode(pairs).encode(),
            "headers": {"content-type": "application/x-www-form-urlencoded"},
        }
    )
    in_parts = st.tuples(filled_in(fields), TEXTS, st.binary(max_size=200)).map(
        lambda made: {
            "data": {name: text for name, text in made[0] if name},
            "files": {next(iter(fields), "file"): (made[1][:50], made[2]), "file": ("cases.jsonl", made[2])},
        }
    )
    broken = st.tuples(
        st.binary(max_size=300) | st.sampled_from([b"%ff%fe=%zz&&==&", b"--x\r\n\r\n", b"a=1&" * 3000]),
        st.sampled_from(
            [
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "multipart/form-data",
                "",
                "text/plain",
            ]
        ),
    ).map(lambda made: {"content": made[0], "headers": {"content-type": made[1]}})
    return st.tuples(
        st.sampled_from([action, action, action]) | elsewhere, url_encoded | url_encoded | in_parts | broken
    )


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda each: each.path)
def test_a_form_never_fails_and_what_it_changes_is_written_down(
    studio: Studio, forms: dict[str, list[Form]], endpoint: Endpoint
) -> None:
    prepare(studio)
    some = forms[endpoint.path]

    @settings(
        max_examples=FEWER.get(endpoint.path, EXAMPLES),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(some).flatmap(lambda form: sent(form, endpoint)))
    def post(made: tuple[str, dict[str, Any]]) -> None:
        address, body = made
        admin = studio.visitor(Role.ADMIN)
        before, last = state(studio), last_row(studio)
        answer = admin.post(address.partition("#")[0], **body)
        asked = ASKS.match(urlsplit(address).path)
        assert answer.status_code < 500 or (asked and answer.status_code == 503), (address, body, answer.text)
        assert answer.status_code != 405, address
        assert "<script>alert(1)" not in answer.text
        after, rows = state(studio), written_down(studio, last)
        changed = {key for key in after if before.get(key) != after[key]}
        gone = before.keys() - after.keys()  # some of them with whose they were
        told = [row for row in rows if not row["action"].startswith(NOTED)]
        assert len(told) >= len(changed), (address, changed, rows)
        assert bool(told) == bool(changed or gone), (address, rows)
        assert {(row["who"], row["via"]) for row in told} <= {("admin@example.org", "page")}

    post()
