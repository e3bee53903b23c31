"""The pages of datasets: forms, what they say of mistakes, roles, and what a sealed case shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from browser.studio_harness import Studio, running_studio
from ratchet.domain.access import Role
from ratchet.domain.cases import Case
from ratchet.studio.case_form import filled_form, read_form

CASES = [
    {"id": "a", "input": "How long can I return goods?", "reference": "30 days", "tags": ["returns"]},
    {"id": "b", "input": "Where is my parcel?", "reference": "See <b>the tracking page</b>."},
    {"id": "c", "input": "What does express delivery cost?", "reference": "9.90"},
]
_numbers = count()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-dataset-pages")) as running:
        yield running


@pytest.fixture
def clients(studio: Studio):
    headers = {"sec-fetch-site": "same-origin"}
    return {role: studio.client(studio.member(role), headers=headers) for role in Role}


@pytest.fixture
def name(clients) -> str:
    made = f"p{next(_numbers)}"
    clients[Role.ANNOTATOR].post("/datasets", data={"name": made, "description": "Of shoppers"})
    answer = clients[Role.ANNOTATOR].post(f"/api/datasets/{made}/cases", json={"cases": CASES})
    assert answer.status_code == 200, answer.text
    return made


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def shown(client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    return answer.text


def test_making_one(clients) -> None:
    client = clients[Role.ANNOTATOR]
    made = client.post("/datasets", data={"name": "shop", "description": "Of shoppers"})
    assert (made.status_code, made.headers["location"]) == (303, "/datasets/shop")
    again = client.post("/datasets", data={"name": "shop", "description": "Kept"})
    assert again.status_code == 409
    assert "already" in again.text
    assert 'value="Kept"' in again.text
    assert "No cases yet" in text(shown(client, "/datasets/shop"))
    assert "New dataset" not in shown(clients[Role.VIEWER], "/datasets?new")


def test_the_table_of_cases(clients, name: str) -> None:
    page = shown(clients[Role.VIEWER], f"/datasets/{name}")
    assert "3 cases" in text(page)
    assert "See &lt;b&gt;the tracking page" in page
    assert "New case" not in page
    assert "Import" not in page
    found = text(shown(clients[Role.VIEWER], f"/datasets/{name}?q=parcel"))
    assert "1 of 3 cases" in found
    assert "1 to 1 of 1" in found
    assert "No case matches" in text(shown(clients[Role.VIEWER], f"/datasets/{name}?q=zebra"))
    assert "There is no row 100" in text(shown(clients[Role.VIEWER], f"/datasets/{name}?offset=99"))
    assert "returns" in shown(clients[Role.VIEWER], f"/datasets/{name}?tag=returns")


def test_adding_by_hand(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    form = {
        "input": "Can I pay\r\nby invoice?",
        "reference": '{"yes": true}',
        "reference_json": "1",
        "tags": "pay, b2b",
    }
    added = client.post(f"/datasets/{name}/cases", data=form)
    assert "Version 2: 1 added" in text(added.text)
    (case,) = client.get(f"/api/datasets/{name}/cases?q=invoice").json()["rows"]
    assert (case["input"], case["reference"], case["tags"]) == (
        "Can I pay\nby invoice?",
        {"yes": True},
        ["pay", "b2b"],
    )
    same = client.post(f"/datasets/{name}/cases", data={"input": "Where is my parcel?", "reference": "Lost"})
    assert same.status_code == 409
    assert "The case b asks the same, and expects something else." in text(same.text)
    for form, said in (
        ({"input": ""}, "There is no input"),
        ({"input": "[1", "input_json": "1"}, "This is not JSON"),
        ({"input": "[1]", "input_json": "1"}, "a list of something else"),
        ({"input": "x", "metadata": "no colon"}, "has no name"),
    ):
        refused = client.post(f"/datasets/{name}/cases", data=form)
        assert refused.status_code == 400
        assert said in text(refused.text)
        assert "aria-invalid" in refused.text


def test_importing_a_file(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    lines = [{"input": "Do you repair tents?"}, CASES[1] | {"id": "twin"}]
    content = "\n".join(json.dumps(line) for line in lines).encode()
    done = client.post(f"/datasets/{name}/import", files={"file": ("more.jsonl", content)})
    assert "Version 2: 1 added" in text(done.text)
    assert "1 case not taken, since it repeats another: twin asks the same as b" in text(done.text)
    kept = client.post(
        f"/datasets/{name}/import",
        files={"file": ("more.bin", content)},
        data={"kind": "jsonl", "keep_duplicates": "true"},
    )
    assert "Version 3: 1 added, 1 as they were" in text(kept.text)
    for called, said in (
        ("more.jsonl", "more.jsonl, line 1: This is not JSON"),
        ("more.doc", "does not end like"),
    ):
        refused = client.post(f"/datasets/{name}/import", files={"file": (called, b"{")})
        assert refused.status_code == 400
        assert said in text(refused.text)
    noted = client.post(
        f"/datasets/{name}/import",
        files={"file": ("t.yaml", b"prompts: [x]\ntests: [{vars: {input: Hello shop}}]")},
    )
    assert "prompts is not taken." in text(noted.text)
    assert (
        clients[Role.VIEWER].post(f"/datasets/{name}/import", files={"file": ("a.jsonl", b"")}).status_code
        == 403
    )


def test_a_case_and_changing_it(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    address = f"/datasets/{name}/case?id=a"
    page = shown(client, address)
    assert "30 days" in page
    assert "Edit" not in shown(clients[Role.VIEWER], address)
    form = shown(client, f"{address}&edit")
    assert ">How long can I return goods?</textarea>" in form
    changes = {"input": "How long?", "reference": "60 days", "seen": "1", "metadata": "lang: en\nby: x: y"}
    saved = client.post(address, data=changes)
    assert (saved.status_code, saved.headers["location"]) == (303, address)
    after = text(shown(client, address))
    assert "60 days" in after
    assert "In version 1" in after
    assert "x: y" in after
    late = client.post(address, data=changes)
    assert late.status_code == 409
    assert "Somebody has changed" in text(late.text)
    assert client.post(address, data={"input": ""}).status_code == 400
    gone = client.post(f"/datasets/{name}/case/remove?id=a")
    assert gone.headers["location"] == f"/datasets/{name}"
    assert "removed in version 3" in text(shown(client, address))
    shown(client, f"/datasets/{name}/case?id=none", 404)


def test_a_models_reference_is_marked_until_a_person_edits_it(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    case = {"id": "m", "input": "Do you ship to Chile?", "reference": "Yes.", "reference_by": "o3-large"}
    assert client.post(f"/api/datasets/{name}/cases", json={"cases": [case]}).status_code == 200
    address = f"/datasets/{name}/case?id=m"
    assert "o3-large wrote this; once a person edits it" in text(shown(client, address))
    assert "once a person" not in text(shown(clients[Role.VIEWER], address))
    assert "Ship to Chile" not in text(shown(client, f"/datasets/{name}?reference=person"))
    marked = shown(client, f"/datasets/{name}?reference=model")
    assert "Do you ship to Chile?" in text(marked)
    assert "reference by a model" in text(marked)
    same = {"input": "Do you ship to Chile?", "reference": "Yes.", "tags": "abroad"}
    assert client.post(address, data=same).status_code == 303
    assert "o3-large" in shown(client, address)
    assert client.post(address, data={**same, "reference": "No."}).status_code == 303
    assert "o3-large" not in text(shown(client, address))


def test_versions(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    client.patch(
        f"/api/datasets/{name}/case?id=a", json={"fields": {"reference": "60 days"}, "message": "Longer"}
    )
    listed = text(shown(client, f"/datasets/{name}/versions"))
    assert "Longer" in listed
    assert "3 added" in listed
    changed = shown(client, f"/datasets/{name}/versions/2")
    assert re.search(r"<del[^>]*><bdi>30 days</bdi></del>\s*<ins[^>]*><bdi>60 days</bdi></ins>", changed)
    old = text(shown(client, f"/datasets/{name}?version=1"))
    assert "This is version 1, as it was" in old
    assert "30 days" in old
    assert "New case" not in old
    shown(client, f"/datasets/{name}/versions/7", 404)


def test_splitting_and_sealed_cases(clients, name: str) -> None:
    form = {"train": "0", "dev": "34", "test": "66 %"}
    assert clients[Role.ANNOTATOR].post(f"/datasets/{name}/split", data=form).status_code == 403
    assert "Divide" not in shown(clients[Role.ANNOTATOR], f"/datasets/{name}")
    wrong = clients[Role.DEVELOPER].post(f"/datasets/{name}/split", data={**form, "dev": "lots"})
    assert "dev is 'lots'" in text(wrong.text).replace("&#39;", "'")
    done = clients[Role.DEVELOPER].post(f"/datasets/{name}/split", data=form)
    assert "3 groups" in text(done.text)
    sealed = clients[Role.VIEWER].get(f"/api/datasets/{name}/cases?split=test").json()["rows"][0]["id"]
    asked = next(case["input"] for case in CASES if case["id"] == sealed)
    for role in Role:
        for path in (
            "",
            f"/case?id={sealed}",
            f"/case?id={sealed}&edit",
            "/versions/1",
            "/versions/2",
            "?version=1",
        ):
            page = shown(clients[role], f"/datasets/{name}{path}")
            assert asked not in page
    assert "sealed split" in text(shown(clients[Role.ADMIN], f"/datasets/{name}/case?id={sealed}"))
    assert clients[Role.ANNOTATOR].get(f"/datasets/{name}/export?format=jsonl&sealed=true").status_code == 403
    assert asked in clients[Role.DEVELOPER].get(f"/datasets/{name}/export?format=jsonl&sealed=true").text
    edit = clients[Role.ADMIN].post(f"/datasets/{name}/case?id={sealed}", data={"input": "x"})
    assert edit.status_code == 403


def test_reviewing_what_a_model_wrote(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    written: list[dict[str, Any]] = [
        {
            "id": f"s{n}",
            "input": f"{word} question, please?",
            "reference": "Yes",
            "accepted": False,
            "origin": "synthetic",
        }
        for n, word in enumerate(["First", "Another", "Yet one more curious"])
    ]
    client.post(f"/api/datasets/{name}/cases", json={"cases": written, "keep_duplicates": True})
    assert "3 cases that a model wrote wait" in text(shown(client, f"/datasets/{name}"))
    page = text(shown(client, f"/datasets/{name}/review"))
    assert "1 of 3 waiting" in page
    assert "First question" in page

    def judge(case_id: str, verdict: str) -> str:
        answer = client.post(f"/datasets/{name}/review", data={"id": case_id, "verdict": verdict})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    assert judge("s0", "skip") == f"/datasets/{name}/review?id=s1"
    assert judge("s1", "accept") == f"/datasets/{name}/review?id=s2"
    assert judge("s2", "reject") == f"/datasets/{name}/review"
    assert "1 of 1 waiting" in text(shown(client, f"/datasets/{name}/review"))
    edited = client.post(
        f"/datasets/{name}/case?id=s0&edit&back=review", data={"input": "Better?", "back": "review"}
    )
    assert edited.headers["location"] == f"/datasets/{name}/review?id=s0"
    judge("s0", "accept")
    assert "Nothing is waiting" in text(shown(client, f"/datasets/{name}/review"))
    assert client.post(f"/datasets/{name}/review", data={"id": "s0", "verdict": "maybe"}).status_code == 400
    left = client.get(f"/api/datasets/{name}/cases?origin=synthetic").json()["rows"]
    assert {one["id"]: one["input"] for one in left} == {"s0": "Better?", "s1": "Another question, please?"}


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Hello"},
        {"input": [{"role": "user", "content": "Hi"}], "reference": ["a", "b"], "tags": ["x", "y"]},
        {"input": {"q": "Hi"}, "reference": {"a": 1}, "metadata": {"a": "b", "c": "d: e"}},
        {
            "input": "x",
            "metadata": {"odd: name": "v", "lines": "a\nb", " s ": " t "},
            "context": "c",
            "source": "s",
        },
    ],
)
def test_a_form_gives_back_the_case_that_is_in_it(fields: dict[str, Any]) -> None:
    case = Case(id="x", **fields)
    read = {name: value for name, value in read_form(filled_form(case, seen=1)).items() if value is not None}
    assert read == fields
