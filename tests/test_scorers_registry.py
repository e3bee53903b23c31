"""From what a suite file says to a scorer: mistakes are named, libraries come late, own functions are scorers too."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

import ratchet
from ratchet import scorer
from ratchet.domain.cases import Case, Output, Verdict
from ratchet.errors import InvalidRequest, Misconfigured
from ratchet.scorers.function import Unscored
from ratchet.scorers.registry import list_scorers, make_scorer, make_scorers, scorer_settings
from ratchet.scorers.scorer import Scorer, Tallies, Tools

CASE = Case(id="1", input="When?", reference="on Monday")
ANSWER = Output(text="It comes on Monday.")
NONE = Tools()


async def scored(made: Scorer, case: Case = CASE, output: Output = ANSWER) -> list[Verdict]:
    return await made(case, output)


# -- specs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    ["contains", {"contains": {}}, {"contains": None}, {"contains": {"all": ["Monday"], "any": ["on", "x"]}}],
)
async def test_a_name_or_a_name_with_settings(spec: Any) -> None:
    assert [(each.name, each.value) for each in await scored(make_scorer(spec, NONE))] == [("contains", 1.0)]


@pytest.mark.parametrize(
    ("spec", "param", "said"),
    [
        ("exct", "scorers", "There is no scorer 'exct'. Did you mean exact?"),
        ("BLEU", "scorers", "Did you mean bleu?"),
        ("zzzz", "scorers", ", chrf, "),
        (3, "scorers", "must be a name, or a name with settings, and is 3"),
        ({"exact": {}, "regex": {}}, "scorers", "here are 2: exact, regex"),
        ({"exact": "x"}, "scorers.exact", "must be an object, and are 'x'"),
        ({"regex": {}}, "scorers.regex.pattern", "`pattern` is missing"),
        ({"regex": {"pattern": 3}}, "scorers.regex.pattern", "`pattern` must be a text, and is 3"),
        ({"regex": {"patern": "x"}}, "scorers.regex.patern", "(did you mean `pattern`?)"),
        ({"regex": {"pattern": "("}}, "scorers.regex", "`pattern` is no regular expression"),
        ({"contains": {"all": [1]}}, "scorers.contains.all", "must be a list (each a text), and is [1]"),
        ({"length": {"unit": "lines"}}, "scorers.length.unit", "must be characters or words or tokens"),
        ({"length": {"least": 3, "most": 2}}, "scorers.length", "`least` (3) is more than `most` (2)"),
        ({"json_schema": {"schema": {"type": "objekt"}}}, "scorers.json_schema", "is no JSON Schema"),
        ({"classification": {"labels": ["a", "A "]}}, "scorers.classification", "'a' twice"),
        ({"numeric": {"absolute": -1}}, "scorers.numeric", "must be 0 or more"),
        ({"latency": {"limit": float("nan")}}, "scorers.latency", "must be 0 or more"),
    ],
)
def test_a_mistake_names_the_scorer_the_key_and_what_was_expected(spec: Any, param: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        make_scorer(spec, NONE)
    assert said in str(raised.value)
    assert raised.value.param == param
    assert raised.value.remedy


def test_the_remedy_lists_what_a_scorer_takes() -> None:
    with pytest.raises(InvalidRequest) as raised:
        make_scorer({"regex": {"x": 1}}, NONE)
    assert raised.value.remedy == (
        "regex takes `pattern` (a text, required), `full` (true or false), `ignore_case` (true or false), `name` (a text)."
    )


async def test_a_scorer_used_twice_needs_two_names() -> None:
    with pytest.raises(InvalidRequest, match="Two scorers of the suite are called contains"):
        make_scorers(["contains", {"contains": {"any": ["x"]}}], NONE)
    one, other = make_scorers(["contains", {"contains": {"any": ["x"], "name": "has x"}}], NONE)
    assert [(await scored(each))[0].name for each in (one, other)] == ["contains", "has x"]


@pytest.mark.parametrize("name", ["embedding_similarity", "token_matching"])
def test_a_scorer_that_needs_what_is_not_there_says_so(name: str) -> None:
    with pytest.raises(Misconfigured, match=f"The scorer {name} needs an embedder"):
        make_scorer(name, NONE)


def test_all_are_listed_without_loading_any() -> None:
    names = [about.name for about in list_scorers()]
    assert len(names) == len(set(names)) >= 20
    script = (
        "import sys; before = set(sys.modules);"
        "from ratchet.scorers.registry import list_scorers; list_scorers();"
        "print(*[x for x in sys.modules if x.startswith('ratchet.scorers.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "ratchet.scorers.builtin" in loaded
    assert not {"ratchet.scorers.matching", "ratchet.scorers.overlap"} & set(loaded)


# -- what all of them keep ------------------------------------------------------------------------------------------

PLAIN: dict[str, dict[str, Any]] = {"regex": {"pattern": "x"}, "json_schema": {"schema": {}}}


def plain_scorers() -> list[str]:
    """Those that need no tools."""
    return [
        about.name
        for about in list_scorers()
        if not about.asks_a_model
        and about.group != "judge"
        and about.name not in ("embedding_similarity", "token_matching")
    ]


@pytest.mark.parametrize("name", plain_scorers())
async def test_what_can_not_be_scored_is_nan_with_a_reason_under_every_name(name: str) -> None:
    made = make_scorer({name: PLAIN.get(name, {})}, NONE)
    names = [name, *(f"{name}.{part}" for part in made.about.parts)]
    failed = await scored(made, output=Output(error="the provider answered 500"))
    assert [each.name for each in failed] == names
    assert all(math.isnan(each.value) and "500" in each.comment for each in failed)
    bare = await scored(made, Case(id="1", input="q"))
    assert [each.name for each in bare] == names or not made.about.needs_reference
    if made.about.needs_reference:
        assert all(math.isnan(each.value) and each.comment == "the case has no reference" for each in bare)


@pytest.mark.parametrize("name", plain_scorers())
async def test_values_are_what_the_metadata_promises(name: str) -> None:
    made = make_scorer({name: PLAIN.get(name, {})}, NONE)
    assert isinstance(made, Tallies) == made.about.tallies
    for case in (CASE, Case(id="2", input="q", reference={"a": 1}), Case(id="3", input="q", reference="42")):
        for text in ("", "It comes on Monday.", '{"a": 1}', "42"):
            for verdict in await scored(made, case, Output(text=text, latency=0.5)):
                assert verdict.scored or verdict.comment
                if verdict.scored:
                    assert made.about.low is None or verdict.value >= made.about.low
                    assert made.about.high is None or verdict.value <= made.about.high
                    assert not made.about.binary or verdict.value in (0, 1) or name == "length"


def test_settings_are_described() -> None:
    (pattern, full, _) = scorer_settings("regex")
    assert (pattern.key, pattern.expected, pattern.required) == ("pattern", "a text", True)
    assert (full.key, full.expected, full.required, full.default) == ("full", "true or false", False, False)


# -- one's own -----------------------------------------------------------------------------------------------------


@scorer(name="polite", binary=True)
def polite(case: Case, output: Output) -> bool:
    """Says please.

    More about it."""
    return "please" in output.text


@scorer
async def patient(case: Case, output: Output) -> list[Verdict]:
    return [
        Verdict(name="", value=0.5),
        Verdict(name=".detail", value=2.0),
        Verdict(name="patient.b", label="b"),
    ]


@scorer
def forger(case: Case, output: Output) -> list[Verdict]:
    return [Verdict(name="exact", value=1.0)]


def plain(case: Case, output: Output) -> float:
    return len(output.text) / 100


OWN = {
    f"python:app:{name}": what
    for name, what in {"polite": polite, "plain": plain, "number": 3, "type": Case}.items()
}
LOADING = Tools(load=OWN.__getitem__)


async def test_a_function_becomes_a_scorer() -> None:
    assert (polite.about.name, polite.about.title, polite.about.binary) == ("polite", "Says please.", True)
    made = make_scorer(polite, NONE)
    assert await scored(made, output=Output(text="yes, please")) == [Verdict(name="polite", value=1.0)]
    assert [(each.name, each.value, each.label) for each in await scored(make_scorer(patient, NONE))] == [
        ("patient", 0.5, ""),
        ("patient.detail", 2.0, ""),
        ("patient.b", pytest.approx(math.nan, nan_ok=True), "b"),
    ]
    (unscored,) = await scored(make_scorer(forger, NONE))
    assert (unscored.name, unscored.scored) == ("forger", False), "nobody speaks in another scorer's name"
    assert "'exact'" in unscored.comment
    assert await scored(make_scorer(plain, NONE)) == [Verdict(name="plain", value=0.19)]


@pytest.mark.parametrize(
    ("returned", "value", "label", "comment"),
    [
        (True, 1.0, "", ""),
        (0.25, 0.25, "", ""),
        (
            7,
            math.nan,
            "",
            "mine returned 7, and its range is 0 to 1; say @scorer(low=…, high=…), None for an end that has no bound",
        ),
        ("billing", math.nan, "billing", ""),
        (Verdict(name="mine", value=1.0, comment="so"), 1.0, "", "so"),
        (None, math.nan, "", "mine returned NoneType; expected a number, True or False, a text, or verdicts"),
        ([], math.nan, "", "mine returned no verdict"),
        ([1.0], math.nan, "", "mine returned a list with float in it, not a Verdict"),
        (math.inf, math.nan, "", "the value is inf"),
        (math.nan, math.nan, "", "the value is nan"),
    ],
)
async def test_whatever_a_function_returns_is_a_verdict(
    returned: Any, value: float, label: str, comment: str
) -> None:
    (verdict,) = await scored(scorer(name="mine")(lambda case, output: returned))
    assert verdict.name == "mine"
    assert verdict.value == pytest.approx(value, nan_ok=True)
    assert (verdict.label, verdict.comment) == (label, comment)


async def test_a_range_is_what_the_function_declares() -> None:
    def words(case: Case, output: Output) -> float:
        return len(output.text.split()) - 5

    (verdict,) = await scored(scorer(low=-5, high=None)(words))
    assert verdict.value == -1
    (verdict,) = await scored(scorer(low=0, high=None)(words))
    assert verdict.comment.startswith("words returned -1, and its range is 0 to any;")


async def test_what_a_function_raises_is_the_comment_and_ends_no_run() -> None:
    def broken(case: Case, output: Output) -> float:
        return 1 / 0

    def modest(case: Case, output: Output) -> float:
        raise Unscored("I don't know")

    (verdict,) = await scored(make_scorer(broken, NONE))
    assert not verdict.scored
    assert verdict.comment == "broken raised ZeroDivisionError: division by zero"
    assert (await scored(make_scorer(modest, NONE)))[0].comment == "I don't know"


async def test_a_suite_names_a_function_of_ones_own() -> None:
    assert (await scored(make_scorer("python:app:plain", LOADING)))[0].name == "plain"
    named = make_scorer({"python:app:polite": {"name": "kind"}}, LOADING)
    assert (await scored(named))[0].name == "kind"
    with pytest.raises(InvalidRequest, match="takes no settings but `name`"):
        make_scorer({"python:app:polite": {"strict": True}}, LOADING)
    for name in ("number", "type"):
        with pytest.raises(InvalidRequest, match=f"python:app:{name} is no scorer"):
            make_scorer(f"python:app:{name}", LOADING)


def test_the_studio_runs_nobodys_code() -> None:
    with pytest.raises(Misconfigured, match="which the studio does not run"):
        make_scorer("python:app:polite", NONE)


def test_the_package_itself_loads_nothing() -> None:
    script = "import sys; import ratchet; print('msgspec' in sys.modules); from ratchet import scorer, Case; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="scorr"):
        ratchet.scorr  # noqa: B018
