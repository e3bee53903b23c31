"""Cases from files and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.datasets.fields import ORIGINS, SPLITS
from ratchet.datasets.files import FORMATS, parse_cases, read_cases, render_cases, write_cases
from ratchet.datasets.formats import parquet_table
from ratchet.domain.cases import Case, content_hash
from ratchet.errors import InvalidRequest, NotFound

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]


def lines(*objects: Any) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in objects)


def refused(content: bytes, kind: str = "jsonl") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_cases(content, kind, "cases.x")
    return caught.value


texts = st.text(max_size=30) | st.sampled_from(["=1+1", "'=x", "[1]", '"', "{}", "a,b", "\r\n", "-", "''@"])
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
jsons = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": texts}),
    min_size=1,
    max_size=3,
)
inputs = texts.filter(bool) | messages | st.dictionaries(texts, jsons, min_size=1, max_size=3)
cases = st.builds(
    Case,
    id=st.text(min_size=1, max_size=20).filter(str.strip),
    input=inputs,
    reference=jsons,
    previous_answer=texts,
    feedback=texts,
    context=texts,
    metadata=st.dictionaries(texts, texts, max_size=3),
    tags=st.lists(texts, max_size=3, unique=True),
    source=texts,
    trace_id=texts,
    span_id=texts,
    origin=st.sampled_from(ORIGINS),
    accepted=st.booleans(),
    reference_by=texts,
    split=st.sampled_from(["", *SPLITS]),
)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@settings(max_examples=150, deadline=None)
@given(written=st.lists(cases, max_size=4, unique_by=lambda case: case.id))
def test_there_and_back(kind: str, written: list[Case]) -> None:
    assert parse_cases(render_cases(written, kind), kind, "x").cases == written


@settings(max_examples=100, deadline=None)
@given(written=st.lists(cases, max_size=4))
def test_promptfoo_keeps_variables_and_references(written: list[Case]) -> None:
    plain = [
        case
        for case in written
        if isinstance(case.input, str | dict)
        and "file://" not in str(case.input)
        and case.input != {}
        and "promptfoo.assert" not in case.metadata
    ]
    if not plain:
        return
    read = parse_cases(render_cases(plain, "promptfoo"), "promptfoo", "x").cases
    assert [case.reference for case in read] == [case.reference for case in plain]
    for before, after in zip(plain, read, strict=True):
        asked = before.input
        if isinstance(asked, dict) and list(asked) == ["input"]:
            asked = asked["input"]
        assert after.input == asked


def test_jsonl_takes_the_names_that_others_use() -> None:
    found = parse_cases(
        b"\xef\xbb\xbf"
        + lines(
            {"input": "a", "reference": "1"},
            {"input": "b", "expected": "2"},
            {"input": "c", "ideal": ["3", "three"]},
            {"input": "d", "output": {"n": 4}},
        ),
        "jsonl",
        "x",
    ).cases
    assert [case.reference for case in found] == ["1", "2", ["3", "three"], {"n": 4}]
    assert {case.origin for case in found} == {"file"}


def test_unknown_fields_become_metadata() -> None:
    (case,) = parse_cases(
        lines({"input": "a", "difficulty": 3, "nested": {"x": [1]}, "metadata": {"lang": "en"}}), "jsonl", "x"
    ).cases
    assert case.metadata == {"difficulty": "3", "nested": '{"x":[1]}', "lang": "en"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"input": "a"}\n{"input": ', "cases.x, line 2: This is not JSON"),
        (b"[1]", "cases.x, line 1: This is not a JSON object"),
        (lines({"input": "a"}, {"reference": "b"}), "cases.x, line 2, input: There is no input"),
        (lines({"input": 5}), "cases.x, line 1, input: It is 5"),
        (lines({"input": ""}), "input: It is empty"),
        (lines({"input": ["a"]}), "input: It is a list of something else"),
        (lines({"input": "a", "refrence": "b"}), "refrence: There is no field 'refrence'"),
        (lines({"input": "a", "expected": "b", "ideal": "c"}), "'expected' and 'ideal' say the same"),
        (lines({"input": "a", "split": "holdout"}), "split: It is 'holdout'"),
        (lines({"input": "a", "tags": [1]}), "tags: It holds 1"),
        (lines({"input": "a", "accepted": "yes"}), "accepted: It is 'yes'"),
        (
            lines({"id": "x", "input": "a"}, {"id": "x", "input": "b"}),
            "line 2, id: 'x' is also the id of line 1",
        ),
        (b'{"input": "\xff"}', "line 1: This is not UTF-8"),
    ],
)
def test_what_can_not_be_taken_is_named(content: bytes, said: str) -> None:
    error = refused(content)
    assert said in error.message
    assert error.remedy


def test_many_problems_are_told_together() -> None:
    message = refused(lines(*({"input": ""} for _ in range(100)))).message
    assert message.splitlines()[1].startswith("cases.x, line 2, input")
    assert message.splitlines()[-1] == "… and 95 more."


def test_a_case_without_an_id_keeps_the_one_it_is_given() -> None:
    once = parse_cases(lines({"input": "a", "reference": "x"}, {"input": "b"}), "jsonl", "x").cases
    again = parse_cases(lines({"input": "b"}, {"input": "a", "reference": "changed"}), "jsonl", "y").cases
    assert [case.id for case in again] == [once[1].id, once[0].id]
    same = parse_cases(lines(*[{"input": "a", "reference": n} for n in "xyxx"]), "jsonl", "x").cases
    assert len({case.id for case in same}) == 4


def test_csv_from_a_spreadsheet() -> None:
    content = b'Input;Reference;tags;Region\r\n"a\nb";=2;billing, refund;EU\r\n;;;\r\n\'=cmd;;;\r\n'
    first, second = parse_cases(content, "csv", "x").cases
    assert (first.input, first.reference, first.tags) == ("a\nb", "=2", ["billing", "refund"])
    assert first.metadata == {"Region": "EU"}
    assert second.input == "=cmd"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"input,reference\na,b,c\n", "line 2: There are 3 cells under 2 columns"),
        (b"input,input\na,b\n", "line 1: The column 'input' is there more than once"),
        (b'input\n"a\nb"\n"c', "line 4: This is not CSV"),
        (b'input\n"a\nb"\n""\nc\n', None),
        (b"reference\nb\n", "line 2, input: There is no input"),
        (b"input_json\n{a\n", "line 2: input_json is not JSON"),
        (b'input,input_json\na,"{}"\n', "line 2: Both input and input_json are filled"),
    ],
)
def test_csv_that_can_not_be_taken(content: bytes, said: str | None) -> None:
    if said is None:
        assert len(parse_cases(content, "csv", "x").cases) == 2
        return
    assert said in refused(content, "csv").message


def test_a_written_csv_is_harmless_in_a_spreadsheet() -> None:
    assert b"\n'=HYPERLINK" in render_cases(
        [Case(id="+1", input="x"), Case(id="=HYPERLINK", input="x")], "csv"
    )


def test_a_small_parquet_file_that_is_large_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "_LARGEST", 16 << 20)
    table = pyarrow.table({"input": ["x" * 1_000_000] * 100})
    out = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, out, compression="zstd")
    content = out.getvalue().to_pybytes()
    assert len(content) < 1_000_000
    assert "Unpacked, the file is larger than 16,777,216 bytes" in refused(content, "parquet").message


def test_parquet_with_nested_columns(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist(
        [{"input": MESSAGES, "reference": "Hi", "score": 0.5, "metadata": {"lang": "en", "none": None}}]
    )
    path = tmp_path / "cases.parquet"
    pyarrow.parquet.write_table(table, path)
    (case,) = read_cases(path)
    assert (case.input, case.reference) == (MESSAGES, "Hi")
    assert case.metadata == {"score": "0.5", "lang": "en"}
    assert "not a Parquet file" in refused(b"PAR1 no", "parquet").message


PROMPTFOO = """
description: Support
prompts: [file://prompt.txt]
providers: [openai:gpt-4o-mini]
defaultTest:
  vars: {tone: kind}
  assert:
    - type: latency
      threshold: 100
tests:
  - description: refunds
    vars: {question: Can I return this?, since: 2024-01-31}
    assert:
      - {type: contains, value: 30 days}
      - {type: equals, value: "Yes"}
  - vars:
      question: [a, b]
    threshold: 0.5
"""


def test_promptfoo() -> None:
    found = parse_cases(PROMPTFOO.encode(), "promptfoo", "x")
    first, second, third = found.cases
    assert first.input == {"tone": "kind", "question": "Can I return this?", "since": "2024-01-31"}
    assert first.reference == "Yes"
    assert first.metadata["description"] == "refunds"
    kept = json.loads(first.metadata["promptfoo.assert"])
    assert [one["type"] for one in kept] == ["latency", "contains", "equals"]
    assert [case.input["question"] for case in (second, third)] == ["a", "b"]
    assert found.notes == [
        "prompts is not taken.",
        "providers is not taken.",
        "threshold of a test is not taken.",
    ]
    again = parse_cases(render_cases(found.cases, "promptfoo"), "promptfoo", "x").cases
    assert again == found.cases


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("tests: file://tests.csv", "Its tests are somewhere else"),
        ("prompts: []", "There is no list of tests"),
        ("tests: [a", "This is not YAML"),
        ("tests:\n  - vars: {a: 1}\n  - assert: []\n", "line 3: The test has no vars"),
        ("- vars: {a: file://x.txt}\n", "line 1: The variable 'a' points at another file"),
        ("- vars: vars.yaml\n", "line 1: vars points at 'vars.yaml'"),
        ("- !!python/object/apply:os.getcwd []\n", "This is not YAML"),
    ],
)
def test_promptfoo_that_can_not_be_taken(content: str, said: str) -> None:
    assert said in refused(content.encode(), "promptfoo").message


def test_aliases_of_aliases_are_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)
    ]
    assert (
        "too large"
        in refused("\n".join([*levels, "tests: [{vars: {q: *a8}}]"]).encode(), "promptfoo").message
    )


def test_openai_evals() -> None:
    asked = [{"role": "user", "content": "2+2"}]
    content = lines({"input": MESSAGES, "ideal": ["Hi", "Hello"]}, {"input": asked, "ideal": "4"})
    found = parse_cases(content, "openai-evals", "x").cases
    assert [(case.input, case.reference) for case in found] == [(MESSAGES, ["Hi", "Hello"]), (asked, "4")]
    written = render_cases([*found, Case(id="t", input="2+2", reference={"n": 4})], "openai-evals")
    assert [json.loads(line) for line in written.splitlines()][2] == {"input": asked, "ideal": '{"n":4}'}
    with pytest.raises(InvalidRequest, match="'v' has variables"):
        render_cases([Case(id="v", input={"q": "x"})], "openai-evals")


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.csv", "a.parquet", "a.yaml"], ids=["jsonl", "csv", "parquet", "yaml"]
)
def test_the_name_tells_the_format(tmp_path: Path, name: str) -> None:
    case = Case(id="x", input="Hello", reference="Hi", origin="file")
    write_cases(tmp_path / name, [case])
    (read,) = read_cases(tmp_path / name)
    assert (read.input, read.reference) == ("Hello", "Hi")


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.jsonl can't be read"):
        read_cases(tmp_path / "none.jsonl")
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(InvalidRequest, match="does not end like"):
        read_cases(tmp_path / "a.docx")
    with pytest.raises(InvalidRequest, match="no format 'xml'"):
        render_cases([], "xml")
    assert set(FORMATS) >= {"jsonl", "csv", "parquet", "promptfoo", "openai-evals"}


def test_yaml_is_what_promptfoo_reads() -> None:
    case = Case(id="x", input={"q": "Hello", "docs": ["a", "b"]}, reference="Hi", metadata={"lang": "en"})
    assert yaml.safe_load(render_cases([case], "promptfoo")) == {
        "tests": [
            {
                "vars": {"q": "Hello", "docs": ["a", "b"]},
                "assert": [{"type": "equals", "value": "Hi"}],
                "metadata": {"lang": "en"},
                "options": {"disableVarExpansion": True},
            }
        ]
    }


def test_everything_is_exported() -> None:
    """A field that is added to a case is in every format that promises to keep all of them."""
    values: dict[str, Any] = {"metadata": {"a": "b"}, "tags": ["t"], "accepted": False, "split": "dev"}
    full = Case(**{name: values.get(name, "hand") for name in Case.__struct_fields__})
    for kind in ("jsonl", "csv", "parquet"):
        assert parse_cases(render_cases([full], kind), kind, "x").cases == [full]
    assert set(msgspec.to_builtins(full)) == set(Case.__struct_fields__) - {"origin"}


@pytest.mark.parametrize("text", ["\x85", "a\x85b", "\u2028", "a\u2029 ", "\ufeff", "a\n b\n"])
def test_yaml_keeps_every_kind_of_line_break(text: str) -> None:
    written = render_cases([Case(id="x", input="q", reference=text)], "promptfoo")
    assert parse_cases(written, "promptfoo", "x").cases[0].reference == text


@given(case=cases)
def test_the_hash_is_of_what_a_case_says(case: Case) -> None:
    """Wherever its texts came from, and whatever its id is."""
    read = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(case)), type=Case)
    assert content_hash(read) == content_hash(case) == content_hash(msgspec.structs.replace(case, id="other"))
    assert content_hash(case) != content_hash(msgspec.structs.replace(case, context=case.context + "x"))
