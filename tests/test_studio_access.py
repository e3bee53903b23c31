"""Who gets in: every address has a role, sessions, tokens, same-origin checks, throttling, headers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.routing import Route

from browser.studio_harness import LOCAL_TOKEN, PASSWORD, Clock, Studio, running_studio
from browser.studio_seed import Seed
from ratchet.domain.access import Role
from ratchet.errors import Forbidden
from ratchet.store.records.members import create_link, create_token, invite_member, remove_member
from ratchet.studio.access import COOKIE, check_same_origin
from ratchet.studio.headers import POLICY
from ratchet.studio.routes import ENDPOINTS
from ratchet.studio.throttle import Throttle, TooManyAttempts

ROLES = (Role.VIEWER, Role.ANNOTATOR, Role.DEVELOPER, Role.ADMIN)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-access")) as running:
        yield running


def address_of(path: str) -> str:
    """A path with something in place of each parameter."""
    filled = path.replace("{direction}", "input").replace("{message}", "0").replace("{part}", "0")
    return re.sub(r"\{\w+\}", "0af7651916cd43dd8448eb211c80319c", filled)


def test_every_address_of_the_application_is_in_the_table(studio: Studio) -> None:
    declared = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    served = {
        (method, route.path)
        for route in studio.app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served == declared


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_an_address_refuses_strangers_and_roles_below_its_own(studio: Studio, endpoint) -> None:
    if endpoint.role is None:
        assert endpoint.path in ("/sign-in", "/sign-out", "/welcome/{token}", "/healthz")
        return
    url = address_of(endpoint.path)
    stranger = studio.client().request(endpoint.method, url)
    if endpoint.method == "GET" and not url.startswith("/api/"):
        assert stranger.status_code == 303
        assert stranger.headers["location"].startswith("/sign-in?next=")
    else:
        assert stranger.status_code == 401
    for role in ROLES:
        answer = studio.client(studio.member(role)).request(
            endpoint.method, url, headers={"sec-fetch-site": "same-origin"}
        )
        if role < endpoint.role:
            assert answer.status_code == 403, role
        else:
            assert answer.status_code not in (401, 403, 405, 500), role


def test_reading_takes_viewer_scoring_annotator_keys_developer_members_admin() -> None:
    needed = {f"{endpoint.method} {endpoint.path}": endpoint.role for endpoint in ENDPOINTS}
    assert needed["GET /traces"] == Role.VIEWER
    assert needed["POST /api/scores"] == needed["POST /traces/{trace_id}/scores"] == Role.ANNOTATOR
    assert all(role == Role.DEVELOPER for name, role in needed.items() if "/api/keys" in name)
    assert all(role == Role.ADMIN for name, role in needed.items() if "/api/members" in name)
    assert all(
        role is None or role >= Role.ANNOTATOR
        for name, role in needed.items()
        if not name.startswith("GET ") and "/views" not in name  # everyone keeps views for themselves
    )


def test_an_unknown_address_is_refused_before_anyone_is_asked_who_they_are(studio: Studio) -> None:
    answer = studio.client().get("/api/secrets")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert studio.client().request("DELETE", "/traces").status_code == 405


def test_the_first_start_link_makes_an_admin_who_is_signed_in(studio: Studio, tmp_path) -> None:
    with running_studio(tmp_path, spans=studio.store) as fresh:
        link = create_link(fresh.records, project_id="default", email="", role=Role.ADMIN, now=fresh.clock())
        browser = fresh.client()
        assert "one-time link" in browser.get("/sign-in").text
        page = browser.get(f"/welcome/{link}")
        assert "first account" in page.text
        short = browser.post(f"/welcome/{link}", data={"email": "ada@example.org", "password": "short"})
        assert short.status_code == 400
        assert "5 characters" in short.text
        done = browser.post(f"/welcome/{link}", data={"email": "ada@example.org", "password": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (303, "/overview")
        assert browser.get("/traces").status_code == 200
        assert browser.get("/api/members").json()[0]["role"] == "admin"
        again = fresh.client().get(f"/welcome/{link}")
        assert again.status_code == 404
        assert "used or has expired" in again.text


def test_signing_in_and_out_with_a_password(studio: Studio) -> None:
    member = studio.member(Role.VIEWER)
    browser = studio.client()
    form = {"email": member.email.upper(), "password": PASSWORD, "next": "/traces?route=support"}
    answer = browser.post("/sign-in", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/traces?route=support")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert browser.get("/traces").status_code == 200
    first = browser.cookies[COOKIE]
    browser.post("/sign-in", data=form, headers={"origin": "http://studio.test"})
    assert browser.cookies[COOKIE] != first, "the session's id must change at every sign-in"
    old = studio.client()
    old.cookies.set(COOKIE, first)
    assert old.get("/traces").status_code == 303, "the id before must be worth nothing"
    second = browser.cookies[COOKIE]
    assert browser.post("/sign-out", headers={"sec-fetch-site": "same-origin"}).status_code == 303
    copied = studio.client()
    copied.cookies.set(COOKIE, second)
    assert copied.get("/traces").status_code == 303, (
        "signing out must end the session, not only drop the cookie"
    )


def test_the_cookie_is_secure_behind_https(studio: Studio) -> None:
    member = studio.member(Role.VIEWER)
    answer = studio.client().post(
        "/sign-in",
        data={"email": member.email, "password": PASSWORD},
        headers={"origin": "https://studio.test"},
    )
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test/", "/\\evil.test", "traces"])
def test_signing_in_never_leads_to_another_site(studio: Studio, target: str) -> None:
    member = studio.member(Role.VIEWER)
    answer = studio.client().post(
        "/sign-in", data={"email": member.email, "password": PASSWORD, "next": target}
    )
    assert answer.headers["location"] == "/overview"


def test_wrong_passwords_are_slowed_down_and_look_alike(studio: Studio) -> None:
    member = studio.member(Role.DEVELOPER)
    browser = studio.client()
    wrong = browser.post("/sign-in", data={"email": member.email, "password": "not this one"})
    unknown = browser.post("/sign-in", data={"email": "nobody@example.org", "password": "not this one"})
    assert wrong.status_code == unknown.status_code == 401
    assert "The e-mail address or the password is wrong." in wrong.text
    assert "The e-mail address or the password is wrong." in unknown.text
    for _ in range(4):
        browser.post("/sign-in", data={"email": member.email, "password": "not this one"})
    blocked = browser.post("/sign-in", data={"email": member.email, "password": PASSWORD})
    assert blocked.status_code == 429
    assert "Wait 15 min" in blocked.text
    studio.clock.at += 16 * 60 * 10**9
    assert browser.post("/sign-in", data={"email": member.email, "password": PASSWORD}).status_code == 303


def test_a_token_signs_in_and_stands_for_its_member(studio: Studio) -> None:
    member = studio.member(Role.ANNOTATOR)
    token = create_token(studio.records, member, name="laptop", now=studio.clock())
    browser = studio.client()
    assert browser.post("/sign-in", data={"token": token}).status_code == 303
    assert browser.get("/traces").status_code == 200
    program = studio.client(headers={"authorization": f"Bearer {token}"})
    assert program.get("/api/traces").status_code == 200
    assert program.get("/api/keys").status_code == 403
    wrong = studio.client(headers={"authorization": "Bearer rt-nonsense"}).get("/api/traces")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_token")


def test_the_local_token_is_the_command_lines_way_in(studio: Studio) -> None:
    program = studio.client(headers={"authorization": f"Bearer {LOCAL_TOKEN}"})
    assert program.get("/api/members").status_code == 200
    assert program.post("/api/keys", json={"name": "from the command line"}).json()["created_by"] == "local"


def test_a_session_ends_by_itself_and_with_its_member(studio: Studio) -> None:
    member, _ = invite_member(
        studio.records, project_id="default", email="leaves@example.org", role=Role.VIEWER, now=studio.clock()
    )
    gone = studio.client(member)
    assert gone.get("/traces").status_code == 200
    remove_member(studio.records, project_id="default", email=member.email)
    assert gone.get("/traces").status_code == 303
    late = studio.client(studio.member(Role.VIEWER))
    studio.clock.at += 15 * 24 * 3600 * 10**9
    assert late.get("/traces").status_code == 303


def test_a_change_asked_for_by_another_site_is_refused(studio: Studio) -> None:
    browser = studio.client(studio.member(Role.DEVELOPER))
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {},
    ):
        answer = browser.post("/api/keys", json={"name": "stolen"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site"), headers
    kept = browser.post("/api/keys", json={"name": "mine"}, headers={"origin": "http://studio.test"})
    assert kept.status_code == 201


def test_reading_is_never_refused_for_where_it_was_asked() -> None:
    check_same_origin("GET", {"sec-fetch-site": "cross-site", "cookie": "a=b"})
    with pytest.raises(Forbidden):
        check_same_origin("DELETE", {"sec-fetch-site": "cross-site"})


def test_the_throttle_is_bounded_and_forgets() -> None:
    clock = Clock()
    throttle = Throttle(limit=2, now=clock)
    throttle.failed("ada")
    throttle.check("ada")
    throttle.failed("ada")
    with pytest.raises(TooManyAttempts):
        throttle.check("ada")
    throttle.check("bob")
    for number in range(10_000):
        throttle.failed(f"name {number}")
    throttle.check("ada")  # the oldest name made room
    throttle.failed("bob")
    throttle.succeeded("bob")
    throttle.failed("bob")
    throttle.check("bob")


def test_every_answer_carries_the_security_headers(studio: Studio) -> None:
    browser = studio.client(studio.member(Role.VIEWER))
    for path in ("/traces", "/sign-in", "/nowhere", "/api/traces", "/healthz"):
        headers = browser.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_pages_hold_no_inline_script_style_or_foreign_address(studio: Studio) -> None:
    seed = Seed(studio.clock())
    span = seed.call(studio.clock(), "Hello", "Hello to you")
    studio.store.insert_spans(seed.spans, token="inline")
    browser = studio.client(studio.member(Role.ADMIN))
    for path in ("/traces?range=all", f"/traces/{span.trace_id}", "/design", "/nowhere"):
        text = browser.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\s(style|on\w+)=", text), path
        assert not re.search(r'\b(src|href)="(https?:)?//(?!example\.org)', text), path


def test_static_files_are_named_by_their_content_and_kept(studio: Studio) -> None:
    page = studio.client().get("/sign-in").text
    urls = re.findall(r'(?:src|href)="(/static/[^"#]+)', page)
    assert len(urls) >= 4
    for url in urls:
        assert re.search(r"\.[0-9a-f]{12}\.(css|js|svg)$", url)
        answer = studio.client().get(url)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert studio.client().get("/static/../access.py").status_code == 404
    assert studio.client().get("/static/studio.css").status_code == 404
