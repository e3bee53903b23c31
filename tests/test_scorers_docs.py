"""docs/scorers.md says what the registry holds, and its examples work."""

from __future__ import annotations

import re
from typing import Any

import yaml
from tests.test_docs import DOCS, blocks, coded, page, rows, section

from ratchet.domain.cases import Case, Output
from ratchet.embeddings import LocalEmbedder
from ratchet.scorers.function import FunctionScorer
from ratchet.scorers.registry import list_scorers, make_scorers, scorer_settings
from ratchet.scorers.scorer import ScorerAbout, Tools

HERE = DOCS / "scorers.md"
TABLE = {coded(row[0])[0]: row for row in rows(section(page("scorers.md"), "## All of them"))[1:]}


def range_of(about: ScorerAbout) -> str:
    return f"{about.low:g} and up" if about.high is None else f"{about.low:g} to {about.high:g}"


def test_every_scorer_is_in_the_table_and_no_other() -> None:
    assert list(TABLE) == [about.name for about in list_scorers()]


def test_ranges_directions_parts_and_references_are_as_the_registry_says() -> None:
    for about in list_scorers():
        _, says, span, reference, _ = TABLE[about.name]
        assert span == range_of(about), about.name
        assert ("less is better" in says) == (not about.higher_is_better), about.name
        assert (reference == "needed") == about.needs_reference, about.name
        assert [part for part in about.parts if f"`{part}`" not in says] == [], about.name


def test_every_setting_is_in_the_table() -> None:
    for name, row in TABLE.items():
        assert coded(row[4]) == [each.key for each in scorer_settings(name)], name


def test_what_has_a_tally_is_said() -> None:
    text = section(page("scorers.md"), "## Labels, and figures of a whole set")
    assert {coded(row[0])[0] for row in rows(text)[1:]} == {
        about.name for about in list_scorers() if about.tallies
    }


def test_the_suites_of_the_page_can_be_made_and_its_function_scores() -> None:
    (code,) = blocks(HERE, "python")
    names: dict[str, Any] = {}
    exec(compile(code, "scorers.md", "exec"), names)  # the documents' own code
    own = names["short_and_polite"]
    assert isinstance(own, FunctionScorer)
    local = LocalEmbedder()
    tools = Tools(
        embed=local.embed, tokens=local, load={"python:app.scoring:short_and_polite": own}.__getitem__
    )
    made = [make_scorers(yaml.safe_load(block)["scorers"], tools) for block in blocks(HERE, "yaml")]
    assert [each.about.name for each in made[0]][-1] == "quick"
    assert made[1] == [own]


async def test_the_pages_function_scores() -> None:
    (code,) = blocks(HERE, "python")
    names: dict[str, Any] = {}
    exec(compile(code, "scorers.md", "exec"), names)  # the documents' own code
    case = Case(id="1", input="q")
    assert (await names["short_and_polite"](case, Output(text="Thank you.")))[0].value == 1
    assert (await names["short_and_polite"](case, Output(text="No.")))[0].value == 0


def test_every_setting_that_the_text_names_exists() -> None:
    known = {each.key for about in list_scorers() for each in scorer_settings(about.name)} | {"name"}
    written = set(re.findall(r"`(\w+): ", page("scorers.md")))
    assert written <= known
