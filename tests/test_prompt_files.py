"""Prompts as files: there and back to the character, and what is wrong with one, by file, line and key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratchet.domain.prompts import ROLES, Template, TemplateExample, TemplateMessage
from ratchet.errors import InvalidRequest
from ratchet.prompts.files import read_prompt, write_prompt
from ratchet.prompts.hashing import content_hash, normalised

_LINES = (
    "# user",
    "\\# system",
    "# System ",
    "---",
    "",
    "  ",
    "words",
    "\\\\# assistant",
    "#user",
    "\t# user",
)
_PLAIN_WORDS = (
    "yes",
    "1e-3",
    "2020-01-01",
    "null",
    "~",
    "0o7",
    "1_000",
    "=",
    "-",
    "0x1f",
    ".inf",
    "1.",
    "&x",
    "%",
)
# No braces and no brackets: what a template says is another test's concern.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), max_size=40)
contents = (texts | st.lists(st.sampled_from(_LINES), max_size=6).map("\n".join)).map(
    lambda text: f"a{text}z"
)
spaced = st.tuples(
    st.sampled_from(["", "\n", " ", "\n\n"]), contents, st.sampled_from(["", "\n", " ", "\n\n"])
).map("".join)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(_PLAIN_WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
# Keys that neither requests nor JSON Schemas know.
others = st.dictionaries(texts.map(lambda name: f"x{name}"), values, max_size=3)
tools = st.builds(
    lambda name, more: {"type": "function", "function": {"name": name, "parameters": more}},
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
    others,
)
templates = st.builds(
    Template,
    messages=st.lists(
        st.builds(TemplateMessage, role=st.sampled_from(ROLES), content=spaced), min_size=1, max_size=4
    ),
    examples=st.lists(st.builds(TemplateExample, input=spaced, output=spaced), max_size=2),
    tools=st.lists(tools, max_size=2),
    output_schema=st.none() | others,
    model=texts,
    parameters=others,
).map(normalised)


@given(templates)
@example(Template(messages=[TemplateMessage(role="user", content="a\n")]))
@example(Template(messages=[TemplateMessage(role="user", content="a")], model="0\x850"))
@example(Template(messages=[TemplateMessage(role="user", content="a")], output_schema={}))
def test_a_file_read_again_is_the_same_template(template: Template) -> None:
    text = write_prompt(template)
    again = read_prompt(text, path="prompts/p.md")
    assert again == template
    assert content_hash(again) == content_hash(template)
    assert write_prompt(again) == text


def test_a_file_as_people_write_it() -> None:
    template = read_prompt(
        "---\r\nmodel: support\r\nparameters:\r\n  temperature: 0.2\r\n  own: [no, 1e-3]\r\nexamples:\r\n"
        "  - input: Hi\r\n    output: Hello!\r\n---\r\n\r\n# System\r\nYou help.\r\n# Rules\r\nBe kind.\r\n\r\n"
        "# user\r\n\r\n{{ question }}",
        path="support.md",
    )
    assert template == Template(
        model="support",
        parameters={"own": ["no", 0.001], "temperature": 0.2},
        examples=[TemplateExample(input="Hi", output="Hello!")],
        messages=[
            TemplateMessage(role="system", content="You help.\n# Rules\nBe kind."),
            TemplateMessage(role="user", content="{{ question }}"),
        ],
    )


def test_the_order_of_a_schemas_properties_counts_and_that_of_parameters_does_not() -> None:
    def made(**fields: Any) -> str:
        return content_hash(Template(messages=[TemplateMessage(role="user", content="a")], **fields))

    assert made(parameters={"a": 1, "b": 2}) == made(parameters={"b": 2, "a": 1})
    assert made(output_schema={"a": 1, "b": 2}) != made(output_schema={"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("words\n# user\na", "p.md:1: 'words' stands before the first heading"),
        ("---\nmodel: a\n", "p.md:1: the front matter has no end"),
        ("---\nmodel: a\nmodle: b\n---\n# user\na", "p.md:3: `modle` is no key"),
        ("---\nmodel: a\nmodel: b\n---\n# user\na", "p.md:3: `model` stands there twice"),
        ("---\nmodel: [a\n---\n# user\na", "p.md:3: "),
        ("---\nmodel: 3\n---\n# user\na", "p.md:2: `model`: expected `str`, got `int`"),
        ("---\n1: 3\n---\n# user\na", "p.md:2: a key has to be a text"),
        ("---\nexamples:\n  - input: a\n---\n# user\na", "p.md:3: `examples[0]`: object missing"),
        ("---\nparameters:\n  stream: true\n---\n# user\na", "p.md:3: `stream` can't be a parameter"),
        ("---\nparameters:\n  top_p: .nan\n---\n# user\na", "p.md:3: `parameters.top_p` is nan"),
        ("---\ntools:\n- type: function\n---\n# user\na", "p.md:3: `tools[0]` is no function with a name"),
        (
            "---\nparameters:\n  temperature: hot\n---\n# user\na",
            "p.md:3: A parameter would be refused in every request: `temperature`",
        ),
        (
            "---\noutput_schema:\n  properties:\n    a:\n      type: strng\n---\n# user\na",
            "p.md:5: `output_schema.properties.a.type` is no JSON Schema",
        ),
        ("---\nparameters: &p\n  x: *p\n---\n# user\na", "p.md:2: it is nested too deeply, or an alias"),
        (
            "---\n"
            + "\n".join(f"x{n}: &x{n} [{f'*x{n - 1},' * 9 if n else 1}]" for n in range(9))
            + "\n---\n",
            "p.md:2: it has more than 100,000 keys and entries",
        ),
        ("# system\nfine\n\n# user\n\n{% if x %}\n", "p.md:4: Message 2, line 1: syntax error"),
        ("# system\n\n# user\na", "p.md:1: Message 1 (system) is empty"),
        ("", "p.md:1: The prompt has no message"),
        ("- a\n---\n", "p.md:1: '- a' stands before the first heading"),
        ("---\n- a\n---\n# user\na", "p.md:2: the front matter has to be keys with values"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_line_and_key(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_prompt(text, path="p.md")
    assert message in caught.value.message
    assert caught.value.remedy
