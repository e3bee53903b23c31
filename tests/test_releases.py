"""Releases over the studio's API, its page and the command line: the gate, canaries, history, stepping back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from browser.studio_harness import Studio, running_studio
from ratchet.domain.access import Role
from ratchet.domain.prompts import Release
from ratchet.domain.releases import CanaryReport, GateResult, Measure
from ratchet.errors import Unavailable
from ratchet.store.records.gates import add_gate, gates_of_run
from ratchet.store.spans import SpanStore

REPORT = CanaryReport(
    worse=[],
    reason="Nothing speaks against version 2 so far: 12 users got version 2 and 108 version 1.",
    measures=[
        Measure(
            name="errors",
            unit="share",
            finding="undecided",
            baseline=0.02,
            canary=0.03,
            low=-0.05,
            high=0.12,
            alpha=0.0125,
            baseline_users=108,
            canary_users=12,
        )
    ],
    baseline_users=108,
    canary_users=12,
)


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('releases')}/spans")
    yield opened
    opened.close()


def report_of(release: Release) -> CanaryReport | None:
    return REPORT if release.canary else None


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    with running_studio(tmp_path, spans=spans, canary_report=report_of) as running:
        client = signed_in(running, Role.ADMIN)
        for text in ("one", "two", "three"):
            template = {"messages": [{"role": "user", "content": text}]}
            pushed = client.post(
                "/api/prompts", json={"prompts": [{"name": "support", "template": template}]}
            )
            assert pushed.status_code == 200
        yield running


def signed_in(studio: Studio, role: Role) -> TestClient:
    return studio.visitor(role)


def gate(studio: Studio, version: int, verdict: str, *, run: str = "run-1", created: int = 1) -> None:
    content = signed_in(studio, Role.VIEWER).get(f"/api/prompts/support/versions/{version}").json()["hash"]
    add_gate(
        studio.records,
        GateResult(
            id=f"{run}-{version}-{verdict}-{created}",
            project_id="default",
            run_id=run,
            suite="support",
            baseline="prompt:support@production",
            candidate=f"prompt:support#{version}",
            prompt="support",
            version=version,
            hash=content,
            verdict=verdict,
            reason=f"judge: the gain is what it is, so {verdict}.",
            created=created,
            created_by="ada",
        ),
    )


def release(client: TestClient, version: int, *, status: int = 201, **more: Any) -> Any:
    body = {"prompt": "support", "version": version, "label": "production", **more}
    answer = client.post("/api/releases", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_protected_label_takes_a_gate_that_passed_for_just_this_version(studio: Studio) -> None:
    admin = signed_in(studio, Role.ADMIN)
    refused = release(admin, 2, status=409)["error"]
    assert refused["code"] == "gate_not_passed"
    assert "No gate has said anything about support#2" in refused["message"]
    gate(studio, 2, "CAN'T TELL")
    assert "said CAN'T TELL to support#2" in release(admin, 2, status=409)["error"]["message"]
    gate(studio, 3, "PASS", run="run-2")
    release(admin, 2, status=409)  # another version's
    gate(studio, 2, "PASS", run="run-3", created=2)
    made = release(admin, 2, message="better")
    assert (made["number"], made["gate_run_id"], made["split"]) == (1, "run-3", [{"version": 2, "weight": 1}])
    gate(studio, 2, "FAIL", run="run-4", created=3)
    assert "said FAIL" in release(admin, 2, status=409, label="production")["error"]["message"]
    assert release(admin, 2, run_id="run-3", label="production")["number"] == 1  # as it is already
    assert "of the run run-2 has said" in release(admin, 2, status=409, run_id="run-2")["error"]["message"]
    assert [each.verdict for each in gates_of_run(studio.records, "run-3", project_id="default")] == ["PASS"]


def test_a_reason_stands_in_for_a_gate_and_stays_in_the_history(studio: Studio) -> None:
    admin = signed_in(studio, Role.ADMIN)
    made = release(admin, 1, without_gate="first of all", message="start")
    assert (made.get("gate_run_id", ""), made["message"]) == ("", "start (without a gate: first of all)")
    found = admin.get("/api/releases/support/production").json()
    assert found["serving"]["protected"] is True
    assert [each["created_by"] for each in found["history"]] == ["admin@example.org"]


def test_other_labels_take_no_gate_and_roles_are_kept(studio: Studio) -> None:
    developer = signed_in(studio, Role.DEVELOPER)
    assert release(developer, 1, label="staging")["label"] == "staging"
    assert release(developer, 1, status=403)["error"]["code"] == "permission_denied"
    viewer = signed_in(studio, Role.VIEWER)
    release(viewer, 1, status=403, label="staging")
    assert [each["release"]["label"] for each in viewer.get("/api/releases").json()] == ["staging"]
    assert release(developer, 9, status=404, label="staging")["error"]["code"] == "version_not_found"
    assert viewer.get("/api/releases/support/nowhere").status_code == 404


def test_a_canary_stands_beside_what_is_served_and_is_watched(studio: Studio) -> None:
    admin = signed_in(studio, Role.ADMIN)
    nothing = release(admin, 1, status=400, label="staging", share=10)["error"]
    assert "serves nothing that a canary could be compared with" in nothing["message"]
    release(admin, 1, label="staging")
    same = release(admin, 1, status=400, label="staging", share=10)["error"]
    assert "serves version 1 already" in same["message"]
    made = release(admin, 2, label="staging", share=10)
    assert made["split"] == [{"version": 1, "weight": 90}, {"version": 2, "weight": 10}]
    assert (made["canary"]["baseline"], made["canary"]["canary"]) == (1, 2)
    wider = release(admin, 2, label="staging", share=50)
    assert (wider["canary"]["baseline"], wider["number"]) == (1, 3)
    view = admin.get("/api/releases").json()[0]
    assert view["canary"]["canary_users"] == 12
    whole = release(admin, 2, label="staging")
    assert (whole["split"], whole.get("canary")) == ([{"version": 2, "weight": 1}], None)


def test_a_label_that_was_taken_away_can_be_released_again(studio: Studio) -> None:
    admin = signed_in(studio, Role.ADMIN)
    release(admin, 1, label="staging")
    assert admin.delete("/api/prompts/support/labels/staging").status_code == 200
    assert admin.get("/api/releases/support/staging").json()["serving"] is None
    assert release(admin, 2, label="staging")["number"] == 3


def test_the_page_shows_promotes_refuses_and_steps_back(studio: Studio) -> None:
    admin = signed_in(studio, Role.ADMIN)
    empty = admin.get("/releases").text
    assert "Nothing is released yet" in empty
    form = {"prompt": "support", "version": "1", "label": "production", "share": "100"}
    refused = admin.post("/releases", data=form)
    assert refused.status_code == 409
    assert "No gate has said anything about support#1" in refused.text
    made = admin.post("/releases", data={**form, "without_gate": "the first"})
    assert (made.status_code, made.headers["location"]) == (303, "/releases?done=support@production")
    gate(studio, 2, "PASS")
    assert admin.post("/releases", data={**form, "version": "2", "share": "10"}).status_code == 303
    text = admin.get("/releases?done=support@production").text
    for said in ("is released", "Nothing speaks against version 2", "run-1", "+12.0 %", "the first", "90 %"):
        assert said in text, said
    assert admin.post("/releases", data={**form, "version": "two"}).status_code == 400
    assert admin.post("/releases/support/production/roll-back").status_code == 303
    assert admin.get("/api/releases/support/production").json()["serving"]["release"]["split"] == [
        {"version": 1, "weight": 1}
    ]
    nothing = admin.post("/releases/support/production/roll-back")
    assert nothing.status_code == 409
    assert "has served nothing before that" in nothing.text
    csv = admin.get("/releases?format=csv").text
    assert csv.splitlines()[1].startswith("support,production,3,")


def test_pages_stand_while_the_store_is_away(tmp_path: Path, spans: SpanStore) -> None:
    def away(_: Release) -> CanaryReport | None:
        raise Unavailable("The span store is away.", "Wait.")

    with running_studio(tmp_path, spans=spans, canary_report=away) as studio:
        admin = signed_in(studio, Role.ADMIN)
        for text in ("one", "two"):
            template = {"messages": [{"role": "user", "content": text}]}
            admin.post("/api/prompts", json={"prompts": [{"name": "support", "template": template}]})
        release(admin, 1, label="staging")
        release(admin, 2, label="staging", share=20)
        page = admin.get("/releases")
        assert page.status_code == 200
        assert "How the canary does is not known now: The span store is away." in page.text
