"""Datasets over the studio's API: every role, every change, and sealed cases that stay shut."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pyarrow.parquet
import pytest

from browser.studio_harness import Studio, running_studio
from ratchet.datasets.files import FORMATS, parse_cases
from ratchet.domain.access import Role

CASES = [
    {"id": "a", "input": "How long can I return goods?", "reference": "30 days", "tags": ["returns"]},
    {"id": "b", "input": "Where is my parcel?", "reference": "See the tracking page.", "source": "ada"},
    {"id": "c", "input": "What does express delivery cost?", "reference": "9.90", "source": "ada"},
    {"id": "d", "input": "Do you repair tents and rucksacks?", "reference": "Yes", "feedback": "too short"},
]
_numbers = count()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-datasets")) as running:
        yield running


@pytest.fixture
def clients(studio: Studio):
    headers = {"sec-fetch-site": "same-origin"}
    return {role: studio.client(studio.member(role), headers=headers) for role in Role}


@pytest.fixture
def name(clients) -> str:
    """A dataset with four cases."""
    made = f"d{next(_numbers)}"
    assert clients[Role.ANNOTATOR].post("/api/datasets", json={"name": made}).status_code == 201
    put(clients[Role.ANNOTATOR], made, CASES)
    return made


def put(client, name: str, cases: list[dict[str, Any]], **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/datasets/{name}/cases", json={"cases": cases, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(client, name: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/api/datasets/{name}/cases", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] >= len(answer.json()["rows"])
    return answer.json()["rows"]


def sealed_of(studio: Studio, clients, name: str) -> str:
    """The id of one sealed case, after splitting."""
    answer = clients[Role.DEVELOPER].post(
        f"/api/datasets/{name}/split", json={"shares": {"dev": 0.5, "test": 0.5}}
    )
    assert answer.status_code == 200, answer.text
    return rows(clients[Role.VIEWER], name, split="test")[0]["id"]


def test_making_and_listing(clients) -> None:
    client = clients[Role.ANNOTATOR]
    made = client.post("/api/datasets", json={"name": "shop", "description": "Of shoppers"})
    assert made.json()["version"] == 0
    assert client.post("/api/datasets", json={"name": "shop"}).status_code == 409
    assert client.post("/api/datasets", json={"name": "a b"}).json()["error"]["param"] == "name"
    put(client, "shop", CASES)
    listed = {one["name"]: one for one in client.get("/api/datasets").json()}
    assert (listed["shop"]["cases"], listed["shop"]["changed_by"]) == (4, "annotator@example.org")
    assert client.patch("/api/datasets/shop", json={"description": "New"}).json()["description"] == "New"
    assert "shop" in client.get("/api/datasets?format=csv").text
    assert client.get("/api/datasets/none").status_code == 404


def test_viewers_read_and_change_nothing(clients, name: str) -> None:
    client = clients[Role.VIEWER]
    assert len(rows(client, name)) == 4
    assert client.get(f"/api/datasets/{name}/export").status_code == 200
    for method, path, body in (
        ("POST", "/cases", {"cases": []}),
        ("PATCH", "/case?id=a", {"fields": {}}),
        ("DELETE", "/case?id=a", None),
        ("POST", "/accept", {"all": True}),
        ("POST", "/split", {}),
    ):
        assert client.request(method, f"/api/datasets/{name}{path}", json=body).status_code == 403
    assert clients[Role.ANNOTATOR].post(f"/api/datasets/{name}/split", json={}).status_code == 403


def test_putting_tells_what_came_of_it(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    done = put(
        client,
        name,
        [
            {**CASES[0], "reference": "60 days"},
            CASES[1],
            {"input": "how long can I return GOODS", "reference": "60 days"},
            {"input": "Are you open on Sundays?"},
        ],
        message="More",
    )
    assert [done[what] for what in ("version", "added", "changed", "unchanged")] == [2, 1, 1, 1]
    assert done["duplicates"][0]["of"] == "a"
    newest = client.get(f"/api/datasets/{name}/versions").json()[0]
    assert (newest["message"], newest["author"], newest["cases"]) == ("More", "annotator@example.org", 5)
    changed = client.get(f"/api/datasets/{name}/versions/2").json()
    assert {one["case_id"]: one["what"] for one in changed["changes"]}["a"] == "changed"
    assert changed["changes"][0]["before"]["reference"] == "30 days"
    assert client.get(f"/api/datasets/{name}/versions/9").status_code == 404


@pytest.mark.parametrize(
    ("case", "param"),
    [
        ({"reference": "x"}, "cases.1.input"),
        ({"input": "x", "refrence": "y"}, "cases.1.refrence"),
        ({"input": "x", "tags": [1]}, "cases.1.tags"),
        ({"input": "x", "id": "x" * 300}, "cases.1.id"),
    ],
)
def test_a_case_that_is_none_is_named(clients, name: str, case: dict[str, Any], param: str) -> None:
    body = {"cases": [{"input": "fine"}, case]}
    answer = clients[Role.ANNOTATOR].post(f"/api/datasets/{name}/cases", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert len(rows(clients[Role.VIEWER], name)) == 4


def test_search_and_filters(clients, name: str) -> None:
    client = clients[Role.VIEWER]
    assert [one["id"] for one in rows(client, name, q="delivery")] == ["c"]
    assert [one["id"] for one in rows(client, name, tag="returns")] == ["a"]
    assert [one["id"] for one in rows(client, name, limit=2, offset=1)] == ["b", "c"]
    assert rows(client, name, accepted="no") == []
    assert client.get(f"/api/datasets/{name}/cases?split=holdout").status_code == 400
    assert client.get(f"/api/datasets/{name}/cases?splt=dev").status_code == 400


def test_changing_a_case(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    address = f"/api/datasets/{name}/case?id=a"
    done = client.patch(address, json={"fields": {"reference": {"days": 60}, "tags": None}, "seen": 1}).json()
    assert (done["version"], done["changed"]) == (2, 1)
    shown = client.get(address).json()
    assert shown["case"]["reference"] == {"days": 60}
    assert "tags" not in shown["case"]
    assert [one["since"] for one in shown["revisions"]] == [2, 1]
    late = client.patch(address, json={"fields": {"reference": "x"}, "seen": 1})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "changed_meanwhile")
    assert client.patch(address, json={"fields": {"split": "train"}}).json()["error"]["param"] == "split"
    assert client.patch(address, json={"fields": {"input": ""}}).json()["error"]["param"] == "cases.0.input"
    assert client.delete(address).json()["removed"] == 1
    assert client.delete(address).status_code == 404
    assert client.get(address).json()["removed"] is True


def test_ids_may_hold_anything(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    put(client, name, [{"id": "HumanEval/0 ü?&", "input": "Write a function that adds"}])
    shown = client.get(f"/api/datasets/{name}/case", params={"id": "HumanEval/0 ü?&"})
    assert shown.json()["case"]["input"] == "Write a function that adds"


def test_sealed_cases_stay_shut(studio: Studio, clients, name: str) -> None:
    sealed = sealed_of(studio, clients, name)
    whole = next(case for case in CASES if case["id"] == sealed)
    for role in Role:
        client = clients[role]
        said = [
            client.get(f"/api/datasets/{name}/cases").text,
            client.get(f"/api/datasets/{name}/case?id={sealed}").text,
            client.get(f"/api/datasets/{name}/versions/1").text,
            client.get(f"/api/datasets/{name}/versions/2").text,
            client.get(f"/api/datasets/{name}/export").text,
            client.get(f"/api/datasets/{name}/cases?version=1").text,
            client.get(f"/api/datasets/{name}/cases?version=1&q={whole['input'].split()[-1]}").text,
            client.get(f"/api/datasets/{name}/export?version=1").text,
            *(client.get(f"/api/datasets/{name}/export?format={kind}").text for kind in ("jsonl", "csv")),
        ]
        assert not any(whole["input"] in text for text in said)
        assert rows(client, name, q=whole["input"].split()[-1]) == []
    assert rows(clients[Role.VIEWER], name, q=sealed)[0]["sealed"] is True
    edit = clients[Role.ADMIN].patch(
        f"/api/datasets/{name}/case?id={sealed}", json={"fields": {"reference": "x"}}
    )
    assert (edit.status_code, edit.json()["error"]["code"]) == (403, "sealed")
    export = f"/api/datasets/{name}/export?sealed=true"
    assert clients[Role.ANNOTATOR].get(export).status_code == 403
    assert whole["input"] in clients[Role.DEVELOPER].get(export).text


def test_splitting_keeps_sources_together(clients, name: str) -> None:
    done = clients[Role.DEVELOPER].post(
        f"/api/datasets/{name}/split", json={"shares": {"train": 0.5, "dev": 0.5}}
    )
    assert done.json()["sizes"] == {"train": 2, "dev": 2}
    by_id = {one["id"]: one["split"] for one in rows(clients[Role.VIEWER], name)}
    assert by_id["b"] == by_id["c"]
    put(clients[Role.ANNOTATOR], name, [{"id": "e", "input": "Can I pay by invoice?", "source": "ada"}])
    assert rows(clients[Role.VIEWER], name, q="invoice")[0]["split"] == by_id["b"]
    bad = clients[Role.DEVELOPER].post(f"/api/datasets/{name}/split", json={"shares": {"train": 0.5}})
    assert bad.json()["error"]["param"] == "shares"


def test_accepting(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    written = [
        {"id": f"s{n}", "input": f"{word} question about the shop?", "accepted": False}
        for n, word in enumerate(["First", "Another", "Yet one more curious", "Final"])
    ]
    assert put(client, name, written, origin="synthetic", keep_duplicates=True)["added"] == 4
    assert client.get(f"/api/datasets/{name}").json()["counts"]["waiting"] == 4
    done = client.post(f"/api/datasets/{name}/accept", json={"accept": ["s0"], "reject": ["s1"]}).json()
    assert (done["changed"], done["removed"], done["version"]) == (1, 1, 3)
    assert client.post(f"/api/datasets/{name}/accept", json={"accept": ["none"]}).status_code == 404
    assert client.post(f"/api/datasets/{name}/accept", json={"all": True}).json()["changed"] == 2
    assert rows(client, name, accepted="no") == []
    assert {one["origin"] for one in rows(client, name, q="question")} == {"synthetic"}


def test_references_by_a_model(studio: Studio, clients, name: str) -> None:
    client, address = clients[Role.ANNOTATOR], f"/api/datasets/{name}/references"
    put(client, name, [{"id": "e", "input": "Can I pay by invoice?"}])
    written = {"id": "e", "reference": "No.", "reference_by": "o3"}
    body = {"references": [written, {**written, "id": "a"}], "seen": 2, "message": "by o3"}
    assert clients[Role.VIEWER].post(address, json=body).status_code == 403
    assert client.post(address, json=body).json() == {"version": 3, "changed": 1, "skipped": ["a"]}
    assert [one["id"] for one in rows(client, name, reference="model")] == ["e"]
    assert client.get(f"/api/datasets/{name}").json()["counts"]["references"] == {"person": 4, "model": 1}
    assert client.post(address, json={**body, "seen": 99}).status_code == 404
    for empty in ({**written, "reference": ""}, {**written, "reference_by": ""}):
        assert client.post(address, json={**body, "references": [empty]}).status_code in (400, 422)
    # A change of something else leaves the mark, an edit of the reference clears it.
    case = f"/api/datasets/{name}/case"
    client.patch(case, params={"id": "e"}, json={"fields": {"tags": ["pay"]}})
    assert client.get(case, params={"id": "e"}).json()["case"]["reference_by"] == "o3"
    client.patch(case, params={"id": "e"}, json={"fields": {"reference": "No, by card."}})
    assert "reference_by" not in client.get(case, params={"id": "e"}).json()["case"]
    assert rows(client, name, reference="model") == []


@pytest.mark.parametrize("kind", list(FORMATS))
def test_everything_is_exported(clients, name: str, kind: str) -> None:
    answer = clients[Role.VIEWER].get(f"/api/datasets/{name}/export?format={kind}&version=1")
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{name}-v1.')
    assert answer.headers["x-ratchet-total-rows"] == "4"
    read = parse_cases(answer.content, kind, "x").cases
    assert [case.reference for case in read] == [case["reference"] for case in CASES]
    if kind == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(answer.content)).num_rows == 4
    assert clients[Role.VIEWER].get(f"/api/datasets/{name}/export?format=xml").status_code == 400


def test_there_and_back_over_the_api(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    exported = client.get(f"/api/datasets/{name}/export").json()["cases"]
    done = put(client, name, exported)
    assert done["unchanged"] == 4, (done, exported)
    assert client.get(f"/api/datasets/{name}").json()["newest"] == 1


def test_many_cases_at_once(clients, name: str) -> None:
    words = [
        "alpha",
        "bravo",
        "charlie",
        "delta",
        "echo",
        "foxtrot",
        "golf",
        "hotel",
        "india",
        "juliet",
        "kilo",
        "lima",
    ]
    many = [
        {"id": f"m{n}", "input": " ".join(words[(n * step) % 12] + str(n * step) for step in range(1, 9))}
        for n in range(3000)
    ]
    assert len(json.dumps(many)) > 200_000
    assert put(clients[Role.ANNOTATOR], name, many, keep_duplicates=True)["added"] == 3000
    assert clients[Role.VIEWER].get(f"/api/datasets/{name}/cases?limit=1").json()["total"] == 3004
