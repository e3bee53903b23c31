"""The control API: keys, members, tokens, scores, and the shape of its errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.studio_harness import LOCAL_TOKEN, PASSWORD, Studio, running_studio
from ratchet.domain.access import Role
from ratchet.domain.expiry import parse_expiry
from ratchet.errors import InvalidRequest, Unavailable
from ratchet.store.records.keys import live_keys
from ratchet.studio.filters import CRITERIA
from ratchet.studio.routes import ENDPOINTS


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-api")) as running:
        yield running


@pytest.fixture
def admin(studio: Studio):
    return studio.client(headers={"authorization": f"Bearer {LOCAL_TOKEN}"})


def error_of(answer) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) <= {"code", "message", "remedy", "param"}
    assert error["message"].endswith(".")
    assert error["remedy"].endswith(".")
    return answer.status_code, error["code"]


def test_a_key_is_made_shown_once_and_revoked(studio: Studio, admin) -> None:
    made = admin.post("/api/keys", json={"name": "shop", "routes": ["support"]})
    assert made.status_code == 201
    assert made.json()["key"].startswith("rk-")
    assert made.json()["state"] == "active"
    listed = admin.get("/api/keys").json()
    assert [key["name"] for key in listed] == ["shop"]
    assert "key" not in listed[0]
    assert "secret_hash" not in listed[0]
    assert error_of(admin.post("/api/keys", json={"name": "shop"})) == (409, "conflict")
    gone = admin.delete(f"/api/keys/{made.json()['id']}")
    assert gone.json()["state"] == "revoked"
    assert live_keys(studio.records) == []
    assert error_of(admin.delete("/api/keys/never-was")) == (404, "not_found")


def test_members_are_invited_promoted_given_tokens_and_removed(studio: Studio, admin) -> None:
    studio.member(Role.ADMIN)
    made = admin.post("/api/members", json={"email": "Bo@example.org", "role": "viewer"})
    assert made.status_code == 201
    assert made.json()["email"] == "bo@example.org"
    link = made.json()["link"]
    welcome = studio.client().post(link, data={"password": PASSWORD})
    assert welcome.status_code == 303
    assert (
        admin.patch("/api/members/bo@example.org", json={"role": "developer"}).json()["role"] == "developer"
    )
    token = admin.post("/api/members/bo@example.org/token", json={"name": "ci"}).json()["token"]
    bo = studio.client(headers={"authorization": f"Bearer {token}"})
    assert bo.get("/api/keys").status_code == 200
    assert error_of(bo.get("/api/members")) == (403, "permission_denied")
    assert admin.post("/api/members/bo@example.org/token").status_code == 201, "a body is not needed"
    assert {member["email"] for member in admin.get("/api/members").json()} >= {"bo@example.org"}
    assert admin.delete("/api/members/bo@example.org").status_code == 200
    assert error_of(bo.get("/api/keys")) == (401, "invalid_token")
    assert error_of(admin.delete("/api/members/admin@example.org")) == (409, "conflict")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/api/keys", {}, "name"),
        ("/api/keys", {"name": ""}, "name"),
        ("/api/keys", {"name": "x", "expires": 5}, "expires"),
        ("/api/keys", {"name": "x", "colour": "red"}, "colour"),
        ("/api/members", {"email": "nowhere"}, "email"),
        ("/api/members", {"email": "a@example.org", "role": "queen"}, "role"),
        ("/api/scores", {"name": "thumb", "value": 1}, "trace_id"),
        ("/api/scores", {"name": "thumb", "trace_id": "ab"}, "value"),
        ("/api/scores", {"name": "thumb", "value": 1, "trace_id": "not hex"}, "trace_id"),
        ("/api/scores", {"name": "", "value": 1, "trace_id": "ab"}, "name"),
    ],
)
def test_a_wrong_body_is_refused_with_the_name_of_the_field(studio: Studio, admin, path, body, param) -> None:
    before = len(studio.appended)
    answer = admin.post(path, json=body)
    assert error_of(answer)[0] == 400
    assert answer.json()["error"]["param"] == param
    assert len(studio.appended) == before


def test_broken_json_and_huge_bodies_are_refused(admin) -> None:
    broken = admin.post("/api/scores", content=b'{"name": ', headers={"content-type": "application/json"})
    assert error_of(broken) == (400, "invalid_request")
    huge = admin.post("/api/scores", content=b" " * (2 << 20), headers={"content-type": "application/json"})
    assert error_of(huge) == (413, "request_too_large")
    endless = admin.post("/api/scores", content=iter([b"{}"]), headers={"content-type": "application/json"})
    assert error_of(endless) == (400, "invalid_request")


def test_a_score_goes_to_the_spool_and_comes_back_from_the_store(studio: Studio, admin) -> None:
    body = {"name": "quality", "value": 0.5, "label": "partly", "trace_id": "AB" * 16, "session_id": "s-1"}
    answer = admin.post("/api/scores", json=body)
    assert answer.status_code == 201
    score = studio.appended[-1]
    assert answer.json()["score_id"] == score.score_id
    assert (score.source, score.author, score.trace_id) == ("member", "local", "ab" * 16)
    assert admin.get("/api/scores?trace_id=" + "ab" * 16).json() == []
    studio.store.insert_scores([score], token="collected")
    found = admin.get("/api/scores?session_id=s-1").json()
    assert [one["score_id"] for one in found] == [score.score_id]


def test_a_full_spool_is_said_and_nothing_is_shown_as_kept(studio: Studio) -> None:
    services = studio.app.state.services

    def refuse(score) -> None:
        raise Unavailable("The spool is full.", "Free some disk space.", code="spool_full")

    studio.app.state.services = type(services)(**{**vars(services), "append_score": refuse})
    try:
        answer = studio.visitor(Role.ANNOTATOR).post(
            "/api/scores", json={"name": "thumb", "value": 1, "trace_id": "ab"}
        )
    finally:
        studio.app.state.services = services
    assert error_of(answer) == (503, "spool_full")


def test_a_store_that_is_down_is_said_on_pages_in_json_and_by_health(studio: Studio) -> None:
    services = studio.app.state.services

    def down():
        raise Unavailable("The span store can't be reached.", "`ratchet doctor` says more.")

    studio.app.state.services = type(services)(**{**vars(services), "spans": down})
    try:
        browser = studio.client(studio.member(Role.VIEWER))
        page = browser.get("/traces")
        data = browser.get("/api/traces")
        health = studio.client().get("/healthz")
    finally:
        studio.app.state.services = services
    assert page.status_code == 503
    assert "The span store can&#39;t be reached." in page.text
    assert error_of(data) == (503, "unavailable")
    assert (health.status_code, health.json()["status"]) == (503, "degraded")
    assert health.json() == {"status": "degraded", "records": "ok", "spans": "unreachable"}


def test_an_unexpected_exception_says_little_and_keeps_the_headers(studio: Studio) -> None:
    services = studio.app.state.services

    def broken():
        raise ZeroDivisionError("secret detail")

    studio.app.state.services = type(services)(**{**vars(services), "spans": broken})
    try:
        client = studio.client(studio.member(Role.VIEWER), raise_server_exceptions=False)
        answer = client.get("/api/traces")
    finally:
        studio.app.state.services = services
    assert error_of(answer) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers


def test_the_api_describes_itself(admin) -> None:
    described = admin.get("/api/openapi.json").json()
    assert "/api/traces/{trace_id}/spans/{span_id}" in described["paths"]
    assert "/traces" not in described["paths"]
    assert "post" in described["paths"]["/api/keys"]


def test_every_api_address_and_filter_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "studio.md").read_text()
    for endpoint in ENDPOINTS:
        if endpoint.path.startswith("/api/") or endpoint.path == "/healthz":
            assert f"| `{endpoint.method} {endpoint.path}` |" in text
            role = "everyone" if endpoint.role is None else endpoint.role.label
            assert f"`{endpoint.method} {endpoint.path}` | {role} |" in text
    for criterion in CRITERIA:
        assert f"`{criterion.param}`" in text


@pytest.mark.parametrize("when", [2**63, 10**30, -1])
def test_moments_that_cannot_be_kept_are_refused(studio: Studio, when: int) -> None:
    admin = studio.visitor(Role.ADMIN)
    studio.member(Role.VIEWER)
    for path, body in (
        ("/api/keys", {"name": "late", "expires": when}),
        ("/api/standings", {"kind": "user", "name": "a", "action": "block", "until": when}),
        ("/api/members/viewer@example.org/token", {"name": "late", "expires": when}),
    ):
        assert admin.post(path, json=body).status_code in (400, 422), path
    assert admin.get("/api/audit?since=9999-12-31").json()["rows"] == []
    assert admin.get("/api/audit?until=9999999999999999999").status_code == 200


@pytest.mark.parametrize(
    "text", ["9999-12-31", "99999999999999999999d", "000000000000099999999999999d", "400y", ""]
)
def test_an_expiry_that_cannot_be_kept_is_no_expiry(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_expiry(text, 10**18)
    assert caught.value.param == "expires"
    assert parse_expiry("007d", 10**18) == 10**18 + 7 * 86_400 * 10**9
