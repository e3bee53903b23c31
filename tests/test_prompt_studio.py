"""Prompts over the studio's API and on the command line: roles, pushing, files there and back, labels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from browser.studio_harness import LOCAL_TOKEN, Studio, running_studio
from browser.studio_prompts import fill_prompts
from ratchet.domain.access import Member, Role
from ratchet.store.spans import SpanStore

TEMPLATE = {
    "model": "support",
    "parameters": {"temperature": 0.2},
    "messages": [
        {"role": "system", "content": "You help {{ shop }}.\r\nBe kind."},
        {"role": "user", "content": "{{ question }}"},
    ],
}


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('prompts')}/spans")
    yield opened
    opened.close()


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    with running_studio(tmp_path, spans=spans) as running:
        yield running


def signed_in(studio: Studio, member: Member) -> TestClient:
    """On the studio's own pages."""
    return studio.client(member, headers={"sec-fetch-site": "same-origin"})


def changed(text: str, **fields: Any) -> dict[str, Any]:
    return {**TEMPLATE, "messages": [{"role": "user", "content": text}], **fields}


def push(client: TestClient, *prompts: tuple[str, dict[str, Any]], status: int = 200, **more: Any) -> Any:
    body = {"prompts": [{"name": name, "template": template} for name, template in prompts], **more}
    answer = client.post("/api/prompts", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_versions_are_pushed_read_compared_and_rendered(studio: Studio) -> None:
    client = signed_in(studio, studio.member(Role.DEVELOPER))
    (first,) = push(client, ("support", TEMPLATE), message="first", author="someone else")
    assert (first["number"], first["created"]) == (1, True)
    assert push(client, ("support", TEMPLATE))[0]["created"] is False
    push(client, ("support", changed("{{ question }}?")))
    version = client.get("/api/prompts/support/versions/1").json()
    assert version["author"] == "developer@example.org", "the author is who asks, whatever the body says"
    assert version["template"]["messages"][0]["content"] == "You help {{ shop }}.\nBe kind."
    view = client.get("/api/prompts/support").json()
    assert [each["number"] for each in view["versions"]] == [2, 1]
    assert (view["required"], view["protected"]) == (["question"], ["production"])
    found = client.get("/api/prompts/support/difference").json()
    assert [(each["title"], each["state"]) for each in found["messages"]] == [
        ("system", "removed"),
        ("user", "changed"),
    ]
    rendered = client.post(
        "/api/prompts/support/render", json={"version": "1", "variables": {"shop": "us", "question": "Why?"}}
    ).json()
    assert rendered["messages"][1] == {"role": "user", "content": "Why?"}
    refused = client.post(
        "/api/prompts/support/render", json={"template": TEMPLATE, "variables": {"shop": "us"}}
    )
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "variables.question"
    assert client.get("/api/prompts").json()[0]["newest"]["number"] == 2


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([("a", TEMPLATE), ("b", changed("{% if %}"))], "The prompt 'b': Message 1, line 1: syntax error"),
        ([("a", TEMPLATE), ("a", TEMPLATE)], "The prompt 'a' stands there twice"),
        ([("a b", TEMPLATE)], "A prompt can't be named 'a b'"),
        ([("a", {"messages": [{"role": "user"}]})], "`messages[0]` of the template is wrong"),
        ([("a", changed("x", parameters={"stream": True}))], "`stream` can't be a parameter"),
    ],
)
def test_a_mistake_in_one_prompt_pushes_none(studio: Studio, prompts: Any, said: str) -> None:
    client = signed_in(studio, studio.member(Role.DEVELOPER))
    assert said in push(client, *prompts, status=400)["error"]["message"]
    assert client.get("/api/prompts").json() == []


def test_a_protected_label_takes_an_admin(studio: Studio) -> None:
    developer = signed_in(studio, studio.member(Role.DEVELOPER))
    admin = signed_in(studio, studio.member(Role.ADMIN))
    path = "/api/prompts/support/labels"
    refused = push(developer, ("support", TEMPLATE), label="production", status=403)
    assert "'production' is protected" in refused["error"]["message"]
    assert developer.get("/api/prompts").json() == [], "nothing was pushed either"
    push(developer, ("support", TEMPLATE), label="staging")
    push(developer, ("support", changed("{{ q }}")))
    one: dict[str, Any] = {"split": [{"version": 1}], "message": "It is good."}
    two = {"split": [{"version": 2}], "message": "It is better.", "seen": 1}
    assert developer.put(f"{path}/production", json=one).status_code == 403
    assert admin.put(f"{path}/production", json=one).json()["number"] == 1
    assert admin.put(f"{path}/production", json=two).json()["number"] == 2
    assert admin.put(f"{path}/production", json={**one, "seen": 1}).status_code == 409
    assert developer.post(f"{path}/production/roll-back", json={}).status_code == 403
    back = admin.post(f"{path}/production/roll-back", json={"message": "Worse"}).json()
    assert (back["split"], back["restores"], back["created_by"]) == (
        [{"version": 1, "weight": 1}],
        1,
        "admin@example.org",
    )
    assert developer.delete(f"{path}/production").status_code == 403
    assert developer.delete(f"{path}/staging").status_code == 200
    assert [each["label"] for each in developer.get("/api/prompts/support").json()["labels"]] == [
        "production"
    ]
    assert developer.put(f"{path}/Nope", json=one).status_code == 400


def test_which_labels_are_protected_is_a_setting(tmp_path: Path, spans: SpanStore) -> None:
    with running_studio(tmp_path, spans=spans, protected_labels=lambda: frozenset({"live"})) as studio:
        client = signed_in(studio, studio.member(Role.DEVELOPER))
        assert push(client, ("support", TEMPLATE), label="production")[0]["release"]["number"] == 1
        push(client, ("support", TEMPLATE), label="live", status=403)


def test_annotators_comment_and_viewers_read(studio: Studio) -> None:
    push(signed_in(studio, studio.member(Role.DEVELOPER)), ("support", TEMPLATE))
    viewer = signed_in(studio, studio.member(Role.VIEWER))
    annotator = signed_in(studio, studio.member(Role.ANNOTATOR))
    comment = {"version": 1, "text": "Too long."}
    assert viewer.post("/api/prompts/support/comments", json=comment).status_code == 403
    assert annotator.post("/api/prompts/support/comments", json=comment).status_code == 201
    assert viewer.get("/api/prompts/support/comments").json()[0]["author"] == "annotator@example.org"
    assert viewer.post("/api/prompts", json={"prompts": []}).status_code == 403


def test_a_split_label_is_no_single_version(studio: Studio) -> None:
    admin = signed_in(studio, studio.member(Role.ADMIN))
    push(admin, ("support", TEMPLATE))
    push(admin, ("support", changed("{{ q }}")))
    split = {"split": [{"version": 1, "weight": 95}, {"version": 2, "weight": 5}]}
    by_hand = admin.put("/api/prompts/support/labels/production", json=split)
    assert (by_hand.status_code, by_hand.json()["error"]["param"]) == (400, "message")
    assert "no gate looks" in by_hand.json()["error"]["message"]
    split["message"] = "Both are fine."
    assert admin.put("/api/prompts/support/labels/production", json=split).status_code == 200
    refused = admin.get("/api/prompts/support/versions/production")
    assert (refused.status_code, refused.json()["error"]["remedy"]) == (400, "Name one: #1 and #2.")
    assert admin.get("/api/prompts/support/versions/staging").status_code == 404


def test_the_machines_own_token_says_who_pushes(studio: Studio) -> None:
    client = studio.client(headers={"authorization": f"Bearer {LOCAL_TOKEN}"})
    push(client, ("support", TEMPLATE), author="ada")
    assert client.get("/api/prompts/support/versions/newest").json()["author"] == "ada"


# -- the command line ----------------------------------------------------------------------------------------------


def ratchet(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


FILE = """---
model: simulator/gpt-4o-mini
---
# system

You help {{ shop }}.

# user

{{ question }}
"""


def test_prompts_in_a_folder_go_there_and_back(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    assert "no prompts yet" in ratchet(tmp_path, "prompt", "list")
    assert "prompts does not exist" in ratchet(tmp_path, "prompt", "push", code=1)
    folder.mkdir()
    assert "There is no prompt in prompts" in ratchet(tmp_path, "prompt", "push", code=1)
    (folder / "support.md").write_text(FILE)
    (folder / "other.md").write_text("# user\n\n{{ q }}\n")
    pushed = json.loads(ratchet(tmp_path, "prompt", "push", "-m", "first", "--json"))
    assert [(each["name"], each["number"], each["created"]) for each in pushed] == [
        ("other", 1, True),
        ("support", 1, True),
    ]
    assert "unchanged" in ratchet(tmp_path, "prompt", "push", "prompts/support.md")
    (folder / "support.md").write_text(FILE.replace("You help", "You gladly help"))
    assert "+ You gladly help {{ shop }}." in ratchet(tmp_path, "prompt", "diff", "prompts/support.md")
    assert "never pushed; nothing was written" in ratchet(tmp_path, "prompt", "pull", code=1)
    ratchet(tmp_path, "prompt", "push", "--label", "staging")
    assert (
        ratchet(tmp_path, "prompt", "label", "support@production", "1", "-m", "go")
        == "support@production #1 (release 1)\n"
    )
    assert "- You help {{ shop }}.\n+ You gladly help {{ shop }}." in ratchet(
        tmp_path, "prompt", "diff", "support"
    )
    assert ratchet(tmp_path, "prompt", "show", "support@production") == FILE
    states = json.loads(ratchet(tmp_path, "prompt", "pull", "--label", "production", "--json"))
    assert [(each["name"], each["state"]) for each in states] == [("support", "changed")]
    assert (folder / "support.md").read_text() == FILE
    assert (folder / "support.md").stat().st_mode & 0o044, "others may read it, as any file in git"


def test_a_label_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "support.md").write_text(FILE)
    ratchet(tmp_path, "prompt", "push", "support.md")
    (tmp_path / "support.md").write_text(FILE + "Thanks.\n")
    ratchet(tmp_path, "prompt", "push", "support.md")
    label = ("prompt", "label", "support@production")
    assert "no gate looks" in ratchet(tmp_path, *label, "1", code=1)
    ratchet(tmp_path, *label, "1", "--message", "The first")
    assert "#1 95 %, #2 5 % (release 2)" in ratchet(tmp_path, *label, "1=95", "2=5", "-m", "More")
    assert "#1 (release 3)" in ratchet(tmp_path, *label, "--back")
    assert "is gone" in ratchet(tmp_path, *label, "--remove")
    assert "Say what the label shall serve" in ratchet(tmp_path, *label, code=1)
    assert "'x' is no version" in ratchet(tmp_path, *label, "x", "-m", "a", code=1)
    assert "names no label" in ratchet(tmp_path, "prompt", "label", "support", "1", code=1)
    assert "has no version 9" in ratchet(tmp_path, *label, "9", "-m", "a", code=1)
    shown = json.loads(ratchet(tmp_path, "prompt", "show", "support", "--json"))
    assert [each["number"] for each in shown["history"]] == [4, 3, 2, 1]


def test_nothing_is_pushed_where_one_file_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "good.md").write_text(FILE)
    (folder / "bad.md").write_text("---\nmodle: x\n---\n# user\n\na\n")
    said = ratchet(tmp_path, "prompt", "push", code=1)
    assert "prompts/bad.md:2: `modle` is no key" in said
    assert "no prompts yet" in ratchet(tmp_path, "prompt", "list")


# -- pages ---------------------------------------------------------------------------------------------------------

FORM: dict[str, Any] = {
    "name": "support",
    "role": ["system", "user"],
    "content": ["You help {{ shop }}.\r\nBe kind.", "{{ question }}"],
    "parameters": "temperature: 0.2",
    "model": "support",
    "message": "first",
}


def test_a_prompt_is_written_previewed_and_edited_on_its_pages(studio: Studio) -> None:
    client = signed_in(studio, studio.member(Role.DEVELOPER))
    assert "Write the first prompt" in client.get("/prompts").text
    assert 'name="content"' in client.get("/prompts?new").text
    shown = client.post(
        "/prompts",
        data={**FORM, "more": "preview", "variables": "shop: us\nquestion: Why?"},
        headers={"hx-request": "true"},
    ).text
    assert "<pre>You help us.\nBe kind.</pre>" in shown
    assert "<html" not in shown
    missing = client.post("/prompts", data={**FORM, "more": "preview"}).text
    assert "needs the variables `question` and `shop`" in missing
    assert "<html" in missing, "a whole page without htmx"
    more = client.post("/prompts", data={**FORM, "more": "message"}).text
    assert more.count('name="content"') == 3
    saved = client.post("/prompts", data=FORM)
    assert (saved.status_code, saved.headers["location"]) == (303, "/prompts/support/versions/1?saved=1")
    taken = client.post("/prompts", data=FORM)
    assert taken.status_code == 400
    assert "There is a prompt" in taken.text
    edited = {**FORM, "parent": "1", "content": ["You gladly help {{ shop }}.", "{{ question }}"]}
    assert (
        client.post("/prompts/support", data=edited)
        .headers["location"]
        .startswith("/prompts/support/versions/2")
    )
    again = client.post("/prompts/support", data={**edited, "parent": "2"})
    assert again.headers["location"] == "/prompts/support/versions/2?unchanged=1"
    version = client.get("/prompts/support/versions/2").text
    assert "You gladly help {{ shop }}." in version
    assert 'Changed from <a href="/prompts/support/versions/1">#1</a>' in version
    assert "removed: </span>You help {{ shop }}." in client.get("/prompts/support/difference").text
    stale = client.get("/prompts/support/edit?version=1").text
    assert "It begins from #1, and #2 is the newest" in stale


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("content", ["{% if %}", "b"], "Message 1, line 1: syntax error"),
        ("parameters", "temperature 0.2", "`parameters` is not names with values"),
        ("parameters", "a: 1\na: 2", "`parameters`, line 2: `a` stands there twice"),
        ("tools", '{"type": "function"}', "`tools` is not a list"),
        ("name", "no good", "A prompt can&#39;t be named &#39;no good&#39;"),
    ],
)
def test_nothing_that_was_typed_is_lost(studio: Studio, field: str, value: Any, said: str) -> None:
    client = signed_in(studio, studio.member(Role.DEVELOPER))
    typed = {**FORM, "tools": "", "message": "unmistakable words", field: value}
    answer = client.post("/prompts", data=typed)
    assert answer.status_code == 400
    assert said in answer.text
    assert "unmistakable words" in answer.text
    assert client.get("/api/prompts").json() == []


def test_labels_move_on_the_page_as_the_role_allows(studio: Studio) -> None:
    developer = signed_in(studio, studio.member(Role.DEVELOPER))
    admin = signed_in(studio, studio.member(Role.ADMIN))
    push(developer, ("support", TEMPLATE))
    push(developer, ("support", changed("{{ q }}")))
    move = {"label": "production", "version": "1", "weight": "100"}
    assert "is protected" in developer.post("/prompts/support/labels", data=move).text
    assert "no gate looks" in admin.post("/prompts/support/labels", data=move).text
    move["message"] = "Nobody else does it."
    assert admin.post("/prompts/support/labels", data=move).status_code == 303
    split = admin.post("/prompts/support/labels", data={**move, "version": "2", "weight": "10"})
    assert split.status_code == 303
    assert "production #1 90 %, #2 10 %" in " ".join(admin.get("/prompts").text.split())
    alone = developer.post(
        "/prompts/support/labels", data={"label": "staging", "version": "1", "weight": "10"}
    )
    assert "serves no other version that could take the rest" in alone.text
    assert "Roll back one step" not in developer.get("/prompts/support").text
    assert "Roll back one step" in admin.get("/prompts/support").text
    late = admin.post("/prompts/support/labels/production/roll-back", data={"seen": "1"})
    assert "meanwhile" in late.text
    assert admin.post("/prompts/support/labels/production/roll-back", data={"seen": "2"}).status_code == 303
    assert admin.post("/prompts/support/labels/production/remove").status_code == 303
    history = admin.get("/api/prompts/support").json()["history"]
    assert [(each["number"], len(each["split"])) for each in history] == [(4, 0), (3, 1), (2, 2), (1, 1)]


def test_comments_on_the_page(studio: Studio) -> None:
    push(signed_in(studio, studio.member(Role.DEVELOPER)), ("support", TEMPLATE))
    annotator = signed_in(studio, studio.member(Role.ANNOTATOR))
    assert annotator.post("/prompts/support/versions/1/comments", data={"text": "Nice."}).status_code == 303
    assert "Nice." in annotator.get("/prompts/support/versions/1").text
    refused = annotator.post("/prompts/support/versions/1/comments", data={"text": "x" * 10_001})
    assert refused.status_code == 400
    assert "x" * 10_001 in refused.text
    viewer = signed_in(studio, studio.member(Role.VIEWER)).get("/prompts/support/versions/1").text
    assert "What do you think of it?" not in viewer
    assert "Edit from here" not in viewer


def test_versions_and_combinations_show_what_was_done_with_them(tmp_path: Path, spans: SpanStore) -> None:
    with running_studio(tmp_path, spans=spans, project_id="shop") as studio:
        fill_prompts(studio)
        client = signed_in(studio, studio.member(Role.VIEWER))
        uses = client.get("/api/prompts/support/uses?range=all").json()
        assert [each["version"] for each in uses["versions"]] == [3, 2, 1]
        production, tried = uses["versions"], uses["combinations"]
        assert sum(each["calls"] for each in production) == 210
        assert sum(each["calls"] for each in tried) == 240
        assert sum(each["tested"] for each in tried) == 30
        assert {(each["version"], each["temperature"]) for each in tried} == {
            (1, "0.7"),
            (2, "0.2"),
            (2, "0.9"),
            (3, "0.2"),
            (3, "0.9"),
        }
        scored = sum(score["count"] for each in tried for score in each["scores"])
        assert scored == 80
        both = [each for each in tried if each["version"] == 1]
        assert sum(float(each["cost"]) for each in both) == pytest.approx(
            sum(each["calls"] * (0.0004 if "mini" in each["target"] else 0.0031) for each in both)
        )
        page = client.get("/prompts/support?range=all").text
        assert "Every combination tried" in page
        assert "helpful" in page
        assert "production 10" in page
        edit = signed_in(studio, studio.member(Role.DEVELOPER)).get("/prompts/support/edit").text
        assert "shop: Trail &amp; Tent" in edit, "samples are what an app sent last"
        assert client.get("/api/prompts/support/uses?range=1y").status_code == 400
        traces = client.get("/api/traces?prompt=support&prompt_version=3&range=all").json()
        assert traces["total"] == production[0]["calls"]
