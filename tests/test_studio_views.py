"""Saved views and the command palette: who sees what, who may change it, and what a pasted id stands for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.studio_harness import Studio, fill, running_studio
from browser.studio_seed import support_traffic
from ratchet.domain.access import Role
from ratchet.errors import Conflict
from ratchet.store.records import views as records
from ratchet.studio.navigation import ACTIONS, ENTRIES
from ratchet.studio.views_menu import place, views_menu


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-views")) as running:
        fill(running, support_traffic(running.clock()), "support")
        yield running


@pytest.fixture
def clients(studio: Studio):
    headers = {"sec-fetch-site": "same-origin"}
    return {role: studio.client(studio.member(role), headers=headers) for role in Role}


@pytest.fixture(autouse=True)
def no_views(studio: Studio, clients) -> Iterator[None]:
    yield
    for client in clients.values():
        for view in client.get("/api/views").json():
            if view["mine"]:
                client.delete(f"/api/views/{view['id']}")


def saved(client, name: str = "Failed", **fields: object) -> dict:
    answer = client.post(
        "/api/views", json={"page": "/traces", "name": name, "query": "status=error", **fields}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def names(client, **query: str) -> list[str]:
    return [view["name"] for view in client.get("/api/views", params=query).json()]


def test_a_view_is_its_owners_until_it_is_shared(clients) -> None:
    mine = saved(clients[Role.ANNOTATOR], query="status=error&offset=50&range=7d&format=csv")
    assert mine["address"] == "/traces?range=7d&status=error", "where one stood is no part of a view"
    assert names(clients[Role.ANNOTATOR]) == ["Failed"]
    assert names(clients[Role.ADMIN]) == []
    assert clients[Role.ADMIN].delete(f"/api/views/{mine['id']}").status_code == 404
    shared = clients[Role.ANNOTATOR].patch(f"/api/views/{mine['id']}", json={"shared": True}).json()
    assert (shared["shared"], shared["query"]) == (True, mine["query"])
    seen = clients[Role.VIEWER].get("/api/views?page=/traces").json()
    assert [(view["name"], view["mine"], view["owner"]) for view in seen] == [
        ("Failed", False, "annotator@example.org")
    ]
    assert names(clients[Role.VIEWER], page="/design") == []


def test_who_may_change_a_shared_view(clients) -> None:
    view = saved(clients[Role.ANNOTATOR], shared=True)
    address = f"/api/views/{view['id']}"
    assert clients[Role.DEVELOPER].patch(address, json={"name": "Mine"}).status_code == 403
    assert clients[Role.DEVELOPER].delete(address).status_code == 403
    renamed = clients[Role.ADMIN].patch(address, json={"name": "  Failed   ones "}).json()
    assert (renamed["name"], renamed["owner"]) == ("Failed ones", "annotator@example.org")
    assert clients[Role.ADMIN].delete(address).status_code == 200
    assert clients[Role.ADMIN].delete(address).status_code == 404


def test_viewers_keep_views_and_share_none(clients) -> None:
    body = {"page": "/traces", "name": "Ours", "shared": True}
    refused = clients[Role.VIEWER].post("/api/views", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    view = saved(clients[Role.VIEWER])
    assert clients[Role.VIEWER].patch(f"/api/views/{view['id']}", json={"shared": True}).status_code == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"page": "/nowhere", "name": "x"}, "page"),
        ({"page": "//evil.example", "name": "x"}, "page"),
        ({"page": "/traces", "name": "  "}, "name"),
        ({"page": "/traces", "name": "x" * 81}, "name"),
        ({"page": "/traces", "name": "x", "query": "q=" + "x" * 4000}, "query"),
        ({"page": "/traces", "name": "x", "colour": "red"}, "colour"),
    ],
)
def test_what_is_no_view_is_refused_by_name(clients, body, param) -> None:
    answer = clients[Role.VIEWER].post("/api/views", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_names_are_taken_once_by_each_owner(clients) -> None:
    saved(clients[Role.VIEWER])
    again = clients[Role.VIEWER].post("/api/views", json={"page": "/traces", "name": "Failed"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    saved(clients[Role.ADMIN])
    other = saved(clients[Role.VIEWER], "Slow")
    taken = clients[Role.VIEWER].patch(f"/api/views/{other['id']}", json={"name": "Failed"})
    assert taken.status_code == 409


def test_a_member_has_so_many_views_and_no_more(studio: Studio, monkeypatch) -> None:
    monkeypatch.setattr(records, "MAX_VIEWS", 2)
    fields = {
        "project_id": "default",
        "owner": "many@example.org",
        "page": "/traces",
        "query": "",
        "shared": False,
    }
    for name in ("a", "b"):
        records.create_view(studio.records, name=name, now=1, **fields)
    with pytest.raises(Conflict, match="2 views"):
        records.create_view(studio.records, name="c", now=1, **fields)


def test_the_page_saves_replaces_renames_and_deletes(studio: Studio, clients) -> None:
    client, fragment = clients[Role.ANNOTATOR], {"hx-request": "true"}
    form = {"page": "/traces", "query": "range=all&status=error", "name": "Failed <ever>", "shared": "true"}
    answer = client.post("/views", data=form, headers=fragment)
    assert answer.status_code == 200
    assert "Failed &lt;ever&gt;" in answer.text
    view = client.get("/api/views").json()[0]
    assert (view["shared"], view["query"]) == (True, "range=all&status=error")
    client.post(
        "/views", data={**form, "query": "status=ok", "shared": ""} | {"shared": "false"}, headers=fragment
    )
    assert [one["query"] for one in client.get("/api/views").json()] == ["status=ok"], "saved in its place"
    shown = client.get("/traces?status=ok").text
    assert 'aria-current="true"><bdi>Failed &lt;ever&gt;' in shown
    address = f"/views/{view['id']}"
    assert client.post(address, data={**form, "name": "Other"}, headers=fragment).status_code == 200
    wrong = client.post(address, data={**form, "name": ""}, headers=fragment)
    assert wrong.status_code == 400
    assert "can&#39;t be" in wrong.text
    assert 'id="views"' in wrong.text, "the menu stays, with what went wrong in it"
    plain = client.post(f"{address}/delete", data=form)
    assert (plain.status_code, plain.headers["location"]) == (303, "/traces?range=all&status=error")
    assert names(client) == []


def test_two_queries_that_mean_the_same_are_the_same_view(studio: Studio, clients) -> None:
    assert place("status=error&range=7d") == place("range=7d&status=error&offset=9")
    saved(clients[Role.ADMIN], query="status=error&range=7d")
    menu = views_menu(
        studio.app.state.services, studio.member(Role.ADMIN), "/traces", "range=7d&status=error"
    )
    assert menu.title == "Failed"


# ---- the palette -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
def test_the_palette_offers_what_a_role_may_do(clients, role: Role) -> None:
    offered = clients[role].get("/api/palette").json()
    pages = [each["address"] for each in offered if each["group"] == "Page"]
    assert pages == [entry.path for entry in ENTRIES if role >= entry.role]
    actions = {each["label"] for each in offered if each["group"] == "Action"}
    assert actions == {action.label for action in ACTIONS if role >= action.role}
    for each in offered:
        assert bool(each.get("address")) != bool(each.get("run")), each


def test_views_stand_in_the_palette(clients) -> None:
    saved(clients[Role.ANNOTATOR], shared=True)
    offered = clients[Role.VIEWER].get("/api/palette").json()
    assert [each["address"] for each in offered if each["group"] == "View"] == ["/traces?status=error"]


def test_actions_lead_to_pages_that_exist_and_scripts_that_run(studio: Studio, clients) -> None:
    script = (Path(__file__).parent.parent / "src/ratchet/studio/static/scripts/palette.js").read_text()
    for action in ACTIONS:
        if action.run:
            assert f'"{action.run}":' in script
        else:
            assert clients[action.role].get(action.path).status_code == 200, action.label


def test_a_pasted_id_is_known(clients) -> None:
    client = clients[Role.VIEWER]
    row = client.get("/api/traces?latency_min=3s&limit=1").json()["rows"][0]
    span = client.get(f"/api/traces/{row['trace_id']}").json()["spans"][3]

    def found(text: str) -> list[tuple[str, str]]:
        return [
            (each["label"].split()[0], each["address"])
            for each in client.get("/api/find", params={"text": text}).json()
        ]

    assert found(f" {row['trace_id'].upper()} ") == [("Trace", f"/traces/{row['trace_id']}")]
    assert found(span["span_id"]) == [("Span", f"/traces/{row['trace_id']}?span={span['span_id']}")]
    for kind, name in (
        ("User", row["user_id"]),
        ("Session", row["session_id"]),
        ("Organisation", row["organisation_id"]),
    ):
        assert [(one, client.get(address).status_code) for one, address in found(name)] == [(kind, 200)]
    assert found("00000000000000000000000000000000") == found("nobody") == []
    assert client.get("/api/find?text=").status_code == 400
