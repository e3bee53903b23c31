"""The audit log: every change to what an admin cares about leaves a row, whoever makes it and however."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from browser.studio_harness import LOCAL_TOKEN, PASSWORD, Studio, running_studio
from ratchet.domain.access import Role
from ratchet.domain.auditing import Actor, AuditRow
from ratchet.domain.prompts import Template, TemplateMessage
from ratchet.store.records import Records, keys, schema
from ratchet.store.records.auditing import AuditFilter, acting, audit_rows
from ratchet.store.records.declarations import add_declared, change_declared, drop_declared
from ratchet.store.records.members import create_token, invite_member, remove_member, set_role
from ratchet.store.records.prompts import NewVersion, push_versions
from ratchet.store.spans import SpanStore

# Tables whose changes are nobody's business but their owner's, or that keep their own history with its authors.
UNAUDITED = {
    "audit": "it is the log",
    "projects": "made by the first migration only",
    "revisions": "a counter",
    "logins": "sign-ins and sign-outs are noted by name",
    "forgotten": "noted as user.forgotten",
    "saved_views": "people's own filters",
    "model_stars": "opinions, signed",
    "model_hints": "public figures, with who imported them",
    "prompt_comments": "signed, and never changed",
    "runs": "signed; what matters lies in their results",
    "run_cases": "a run's",
    "gates": "signed, and never changed",
    "datasets": "every version says who made it",
    "dataset_versions": "the history itself",
    "dataset_cases": "a version's",
    "playground_drafts": "people's own",
    "playground_answers": "people's own",
}


def test_every_table_is_audited_or_says_why_not() -> None:
    audited = {name for name, table in schema.metadata.tables.items() if "audited" in table.info}
    assert audited | UNAUDITED.keys() == set(schema.metadata.tables)
    assert not audited & UNAUDITED.keys()


def rows(records: Records, **asked: Any) -> list[AuditRow]:
    """Oldest first."""
    with records.read() as connection:
        return audit_rows(connection, AuditFilter(**asked), project_id="default", limit=1000)[::-1]


ADA = Actor("ada@example.org", "api", "192.0.2.7", 17)


def test_a_change_and_its_row_are_one_transaction(records: Records) -> None:
    with acting(ADA):
        key, _ = keys.create_key(
            records, project_id="default", name="shop", now=5, created_by="ada", routes=["a"]
        )
        keys.revoke_key(records, project_id="default", name_or_id="shop", now=6)
    keys.lend_key(records, project_id="default", name="studio: try it", now=7, expires=9)
    made, revoked = rows(records)
    assert (made.action, made.subject, made.who, made.via, made.address, made.time) == (
        "key.created",
        "shop",
        "ada@example.org",
        "api",
        "192.0.2.7",
        17,
    )
    assert made.before is None
    assert made.after is not None
    assert made.after["routes"] == ["a"]
    assert key.secret_hash not in str(made)
    assert (revoked.action, revoked.before, revoked.after) == (
        "key.changed",
        {"revoked": None},
        {"revoked": 6},
    )
    with contextlib.suppress(LookupError), records.write() as connection:
        connection.execute(update(schema.keys).values(name="other"))
        there = connection.scalar(text("SELECT count(*) FROM audit"))
        raise LookupError
    assert there == 3, "not the key that the studio lent itself"
    assert len(rows(records)) == 2


def test_what_is_declared(records: Records) -> None:
    said = {"project_id": "default", "name": "lab", "by": "ada"}
    with acting(ADA):
        add_declared(records, "provider", settings={"kind": "openai"}, now=1, **said)
        change_declared(records, "provider", settings={"kind": "gemini"}, now=2, **said)
        change_declared(records, "provider", settings={"kind": "gemini"}, now=3, **said)
        drop_declared(records, "provider", project_id="default", name="lab")
    found = [
        (each.action, each.subject, each.before, each.after) for each in rows(records, action="provider")
    ]
    assert [each[:2] for each in found] == [
        ("provider.created", "lab"),
        ("provider.changed", "lab"),
        ("provider.deleted", "lab"),
    ], "what stays the same is no change"
    assert found[1][2:] == ({"settings": {"kind": "openai"}}, {"settings": {"kind": "gemini"}})
    assert (found[2][2] or {})["settings"] == {"kind": "gemini"}
    assert found[2][3] is None


def test_members_their_roles_and_tokens(records: Records) -> None:
    member, _ = invite_member(records, project_id="default", email="Ben@example.org", role=Role.VIEWER, now=1)
    invite_member(records, project_id="default", email="eve@example.org", role=Role.ADMIN, now=1)
    set_role(records, project_id="default", email="ben@example.org", role=Role.ADMIN)
    token = create_token(records, member, name="ci", now=2)
    remove_member(records, project_id="default", email="ben@example.org")
    found = rows(records, text="BEN@")
    assert [(each.action, each.subject) for each in found] == [
        ("member.created", "ben@example.org"),
        ("role.created", "ben@example.org"),
        ("sign_in_link.created", "ben@example.org"),
        ("role.changed", "ben@example.org"),
        ("token.created", "ben@example.org (ci)"),
        ("sign_in_link.deleted", "ben@example.org"),
        ("member.deleted", "ben@example.org"),
    ]
    assert (found[3].before, found[3].after) == ({"role": "viewer"}, {"role": "admin"})
    assert token not in str(found)
    assert {each.who for each in found} == {"ratchet"}, "nobody asked for it"


def test_prompts_are_told_without_their_texts(records: Records) -> None:
    template = Template(messages=[TemplateMessage(role="system", content="a long secret plan")])
    new = NewVersion(prompt="support", template=template, hash="0")
    push_versions(records, [new], project_id="default", author="ada", message="first", now=1)
    found = rows(records, text="support")
    assert [(each.action, each.subject) for each in found] == [
        ("prompt.created", "support"),
        ("prompt_version.created", "support#1"),
    ]
    assert "secret plan" not in str(found)


def test_rows_are_never_changed(records: Records) -> None:
    with records.write() as connection:
        connection.execute(insert(schema.projects).values(id="p", name="p", created=1))
    keys.create_key(records, project_id="default", name="shop", now=5, created_by="ada")
    for change in (update(schema.audit).values(who="eve"), delete(schema.audit)):
        with pytest.raises(DBAPIError, match="never changed or deleted"), records.write() as connection:
            connection.execute(change)
    assert [each.who for each in rows(records)] == ["ratchet"]


# -- the studio ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('audit')}/spans")
    yield opened
    opened.close()


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    with running_studio(tmp_path, spans=spans) as running:
        yield running


SAME = {"sec-fetch-site": "same-origin"}


def test_who_when_from_where_and_how(studio: Studio) -> None:
    admin = studio.client(studio.member(Role.ADMIN), headers=SAME)
    admin.post("/api/keys", json={"name": "by-api"})
    admin.post("/keys", data={"name": "by-page"})
    local = studio.client(headers={"authorization": f"Bearer {LOCAL_TOKEN}"})
    local.post("/api/keys", json={"name": "by-command"})
    found = {each.subject: each for each in rows(studio.records, action="key")}
    assert {name: (each.who, each.via, each.address) for name, each in found.items()} == {
        "by-api": ("admin@example.org", "api", "testclient"),
        "by-page": ("admin@example.org", "page", "testclient"),
        "by-command": ("local", "command", "testclient"),
    }
    assert {each.time for each in found.values()} == {studio.clock()}


def test_sign_ins_and_what_failed(studio: Studio) -> None:
    studio.member(Role.ADMIN)
    client = studio.client(headers=SAME)
    client.post("/sign-in", data={"email": "admin@example.org", "password": "wrong"})
    client.post("/sign-in", data={"email": "hunter2 hunter2", "password": ""})
    client.post("/sign-in", data={"token": "rt-wrong"})
    client.post("/sign-in", data={"email": "Admin@example.org", "password": PASSWORD})
    client.post("/sign-out")
    for _ in range(40):
        client.get("/api/keys", headers={"authorization": "Bearer rt-nonsense"})
    signed = [
        each for each in rows(studio.records) if each.action.startswith("sign_") and "link" not in each.action
    ]
    assert [(each.action, each.subject, each.who, each.after) for each in signed[:5]] == [
        ("sign_in.failed", "admin@example.org", "", {"by": "password"}),
        ("sign_in.failed", "", "", {"by": "password"}),
        ("sign_in.failed", "", "", {"by": "token"}),
        ("sign_in.done", "admin@example.org", "admin@example.org", {"by": "password"}),
        ("sign_out.done", "admin@example.org", "admin@example.org", None),
    ]
    assert len(signed) == 5 + 30, "no more than that of one address"
    assert "hunter2" not in str(signed)
    assert PASSWORD not in str(signed)


def test_the_page_and_its_files_are_for_admins(studio: Studio) -> None:
    admin = studio.client(studio.member(Role.ADMIN), headers=SAME)
    assert "Nothing matches" in admin.get("/audit?who=nobody").text
    for at in range(60):
        admin.post("/api/keys", json={"name": f"app {at}"})
    page = admin.get("/audit?action=key").text
    assert "app 59" in page
    assert "app 9<" not in page
    assert "app 9" in admin.get("/audit?action=key&offset=50").text
    one = admin.get("/audit?q=APP+33").text
    assert "app 33" in one
    assert "app 34" not in one
    found = admin.get("/api/audit?action=key.created&limit=2").json()
    assert (found["total"], [each["subject"] for each in found["rows"]]) == (60, ["app 59", "app 58"])
    assert admin.get("/api/audit?who=ratchet&action=key").json()["total"] == 0
    moment = studio.clock()
    assert admin.get(f"/api/audit?action=key&since={moment + 1}").json()["total"] == 0
    table = list(csv.DictReader(io.StringIO(admin.get("/api/audit?action=key&format=csv").text)))
    assert len(table) == 60
    assert json.loads(table[0]["after"])["name"] == "app 59"
    assert len(admin.get("/audit?action=key&format=json").json()) == 60
    for role in (Role.DEVELOPER, Role.VIEWER):
        other = studio.client(studio.member(role), headers=SAME)
        assert other.get("/audit").status_code == 403
        assert other.get("/api/audit").status_code == 403
    assert admin.get("/api/audit?sine=1").status_code == 400
    assert admin.get("/api/audit?since=yesterday").status_code == 400
