"""What the API says of itself, and what it does with what it does not know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser.studio_harness import LOCAL_TOKEN, Studio, running_studio
from ratchet.domain.access import Role
from ratchet.studio.filters import CRITERIA
from ratchet.studio.routes import ENDPOINTS


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-description")) as running:
        yield running


@pytest.fixture
def admin(studio: Studio):
    return studio.client(headers={"authorization": f"Bearer {LOCAL_TOKEN}"})


def test_every_request_of_the_api_is_described_with_its_parameters_and_answers(admin) -> None:
    document = admin.get("/api/openapi.json").json()
    described = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }
    assert described == {f"{each.method} {each.path}" for each in ENDPOINTS if each.api}
    parameters = document["paths"]["/api/traces"]["get"]["parameters"]
    names = [each["name"] for each in parameters]
    assert {each.param for each in CRITERIA} | {
        "range",
        "since",
        "until",
        "limit",
        "offset",
        "format",
    } == set(names)
    assert len(names) == len(set(names))
    answers = document["paths"]["/api/traces"]["get"]["responses"]
    assert set(answers) == {"200", "default"}
    assert "text/csv" in answers["200"]["content"]
    assert "422" not in str(document), "wrong bodies and parameters are answered with 400"
    assert admin.get("/api/openapi.json").json() == document, "asked twice, nothing is added twice"


@pytest.mark.parametrize(
    ("address", "param", "says"),
    [
        ("/api/traces?modle=gpt", "modle", "Did you mean model?"),
        ("/api/traces?latency_mni=1s", "latency_mni", "Did you mean latency_min?"),
        ("/api/scores?trace=ab", "trace", "Did you mean trace_id?"),
        ("/api/summary?zzz=1", "zzz", "It takes since, until."),
        ("/api/palette?verbose=1", "verbose", "It takes none."),
    ],
)
def test_a_parameter_that_is_not_known_is_refused_with_the_nearest_one(admin, address, param, says) -> None:
    answer = admin.get(address)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", param)
    assert says in error["remedy"]


def test_head_is_answered_as_get_without_the_body(studio: Studio, admin) -> None:
    browser = studio.client(studio.member(Role.VIEWER))
    for path in ("/traces", "/design", "/api/traces", "/healthz", "/sign-in?next=%2Ftraces"):
        got, head = browser.get(path), browser.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type" if got.content else "location"]
    assert browser.head("/nowhere").status_code == 404
    assert studio.client().head("/traces").status_code == 303


def test_an_address_that_does_not_exist_keeps_the_frame_for_those_who_are_signed_in(studio: Studio) -> None:
    answer = studio.client(studio.member(Role.VIEWER)).get("/nowhere")
    assert answer.status_code == 404
    assert 'aria-label="Main"' in answer.text
    assert "There is no page at /nowhere." in answer.text
    stranger = studio.client().get("/nowhere")
    assert stranger.status_code == 404
    assert 'aria-label="Main"' not in stranger.text
