"""Rendering: what goes in, what comes out, what is refused, and that nothing grows without bounds."""

from __future__ import annotations

import time
from typing import Any

import minijinja
import pytest

from ratchet.domain.prompts import PromptReference, Template, TemplateExample, TemplateMessage
from ratchet.errors import InvalidRequest
from ratchet.prompts.checking import check_template, read_template
from ratchet.prompts.difference import difference
from ratchet.prompts.filters import GONE, KNOWN
from ratchet.prompts.template import compile_template


def made(*messages: tuple[str, str], **fields: Any) -> Template:
    return Template(
        messages=[TemplateMessage(role=role, content=content) for role, content in messages], **fields
    )


def rendered(source: str, **variables: Any) -> str:
    found = compile_template(made(("user", source))).render(variables)
    return found[0].content if found else ""


def refusal(source: str, **variables: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        rendered(source, **variables)
    return caught.value


def test_messages_with_examples_between_the_last_system_message_and_what_follows() -> None:
    template = made(
        ("system", "You help {{ shop }}."),
        ("system", "{% if vip %}Be quick.{% endif %}"),
        ("user", "{{ question }}"),
        examples=[TemplateExample(input="{{ raw }}", output="Yes.")],
    )
    compiled = compile_template(template)
    assert compiled.required == ("question", "shop", "vip")
    found = compiled.render({"shop": "<Bó>", "vip": False, "question": "Why?"})
    assert [(each.role, each.content) for each in found] == [
        ("system", "You help <Bó>."),
        ("user", "{{ raw }}"),
        ("assistant", "Yes."),
        ("user", "Why?"),
    ]
    only_system = compile_template(made(("system", "a"), examples=template.examples)).render({})
    assert [each.role for each in only_system] == ["system", "user", "assistant"]
    none = compile_template(made(("user", "a"), examples=template.examples)).render({})
    assert [each.role for each in none] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("source", "variables", "result"),
    [
        ("{% for i in xs %}{{ i.n|upper }}{% if not loop.last %}, {% endif %}{% endfor %}", {"xs": [{"n": "a"}, {"n": "b"}]}, "A, B"),
        ("{{ a }} {{ b }} {{ c }} {{ d }}", {"a": {"q": "<é>"}, "b": True, "c": 1.5, "d": [1, None]}, '{"q":"<é>"} true 1.5 [1,null]'),
        ("{{ x|tojson(indent=2) }}", {"x": ["<"]}, '[\n  "<"\n]'),
        ("{% raw %}{{ a }}{% endraw %}{# {{ c }} #}{{ '{{ d }}' }}", {}, "{{ a }}{{ d }}"),
        ("a\n{% if x %}\nb\n{% endif %}\nc\n", {"x": 1}, "a\nb\nc\n"),
        ("{{ x|default('y') }}{% if z is defined %}{{ z }}{% endif %}", {}, "y"),
        ("{{ xs|join(', ') }} {{ s|replace('a', 'b') }}|{{ t|indent(2) }}", {"xs": ["p", 2], "s": "aa", "t": "1\n2"}, "p, 2 bb|1\n  2"),
        ("{% set total = n * 2 %}{{ total }}", {"n": 21}, "42"),
    ],
)  # fmt: skip
def test_what_templates_can_do(source: str, variables: dict[str, Any], result: str) -> None:
    assert rendered(source, **variables) == result


def test_a_variable_that_is_missing_superfluous_or_of_the_wrong_kind_is_named() -> None:
    source = "{{ name }} {{ order.id }}{% if tone is defined %}{{ tone }}{% endif %}"
    missing = refusal(source, name="Ada")
    assert "needs the variable `order`" in missing.message
    assert "It takes `name` and `order` and may take `tone`." in missing.remedy
    assert (missing.status, missing.reason, missing.param) == (400, "missing_variable", "variables.order")
    superfluous = refusal(source, name="Ada", order={"id": 1}, nmae=1)
    assert "has no variable `nmae`" in superfluous.message
    assert "Did you mean `name`?" in superfluous.remedy
    assert superfluous.reason == "unknown_variable"
    wrong = refusal(source, name="Ada", order=3)
    assert "message 1, line 1: undefined value" in wrong.message
    assert wrong.reason == "invalid_variable"
    assert "number is not iterable" in refusal("{% for x in xs %}{{ x }}{% endfor %}", xs=3).message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("one\n{{ two", "Message 1, line 2: syntax error"),
        ("{{ x|nope }}", "there is no filter `nope`"),
        (
            "a\n{# b\n #}\n{% raw %}\n{{ c }}\n{% endraw %}{{ x|nope }}",
            "Message 1, line 6: there is no filter",
        ),
        ("{{ x|formt }}", "there is no filter `formt`"),
        ("{% include 'other' %}", "`{% include %}` is not for prompts"),
        ("{% macro f() %}{% endmacro %}", "`{% macro %}` is not for prompts"),
        ("{% for x in xs recursive %}{{ loop(x) }}{% endfor %}", "can't be `recursive`"),
        ("{% set x = 'a' %}" + "{% set x = x ~ x %}" * 40, "put too many values together"),
        ("{% set x = 'a' %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}", "put too many values together"),
        ("x" * 300_000, "300,000 characters"),
    ],
)
def test_what_no_template_can_say(source: str, said: str) -> None:
    assert said in refusal(source, x=1, xs=[]).message


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(90000) %}{{ i }}{% endfor %}",
        "{% for i in range(9000) %}" + "x" * 10_000 + "{% endfor %}",
        "{% for i in range(9000) %}{{ x }}{% endfor %}",
        "{{ x|replace('y', x) }}",
        "{{ 'a\nb'|indent(1000000000) }}",
        "{{ range(1000)|join(x) }}",
        "{{ ['a']|map('indent', 1000000000)|join }}",
        "{{ range(10)|tojson(indent=100000000) }}",
        "{{ 'a' * 1000000000 }}",
        "{% set a %}{{ x }}{{ x }}{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 30 + "{{ a }}",
    ],
)
def test_no_template_takes_much_time_or_memory(source: str) -> None:
    began = time.monotonic()
    assert refusal(
        source, **({"x": "y" * 100_000} if "x " in source or "(x" in source or ", x" in source else {})
    )
    assert time.monotonic() - began < 5


def test_every_filter_that_a_template_may_name_is_there_and_no_other() -> None:
    environment = minijinja.Environment()
    for name in KNOWN:
        assert name in {"indent", "join", "replace", "tojson"} or not _unknown(environment, name)
    assert not KNOWN & set(GONE)


def _unknown(environment: minijinja.Environment, name: str) -> bool:
    try:
        environment.render_str(f"{{{{ [1]|{name} }}}}")
    except minijinja.TemplateError as error:
        return "unknown filter" in str(error)
    return False


def test_what_can_be_no_version() -> None:
    with pytest.raises(InvalidRequest, match="has the role 'tool'"):
        check_template(made(("tool", "a")))
    with pytest.raises(InvalidRequest, match="a prompt can't stand on another"):
        check_template(made(("user", "a"), model="prompt:other"))
    with pytest.raises(InvalidRequest, match=r"`messages\[0\].role` of the template is wrong"):
        read_template({"messages": [{"role": 3, "content": ""}]})


@pytest.mark.parametrize(
    ("text", "name", "label", "number"),
    [
        ("prompt:support", "support", "", 0),
        ("support@production", "support", "production", 0),
        ("prompt:a.b-c#12", "a.b-c", "", 12),
    ],
)
def test_references(text: str, name: str, label: str, number: int) -> None:
    found = PromptReference.parse(text)
    assert found == PromptReference(name, label, number)
    assert str(found) == text.removeprefix("prompt:")


@pytest.mark.parametrize("text", ["", "prompt:", "a@", "a#", "a#0", "a@b#1", "a b", "a@Production", "-a"])
def test_what_is_no_reference(text: str) -> None:
    assert PromptReference.parse(text) is None


def test_a_difference_line_by_line() -> None:
    before = made(
        ("system", "one\ntwo\nthree"), ("user", "{{ q }}"), parameters={"temperature": 0.2, "seed": 1}
    )
    after = made(
        ("system", "one\n2\nthree"),
        ("user", "{{ q }}"),
        ("assistant", "Well,"),
        parameters={"temperature": 0.7},
        model="small",
        output_schema={"type": "object"},
        tools=[{"type": "function", "function": {"name": "look_up"}}],
    )
    found = difference(before, after)
    assert not found.same
    assert [(each.title, each.state) for each in found.messages] == [
        ("system", "changed"),
        ("user", "same"),
        ("assistant", "added"),
    ]
    marks = [(line.mark, line.text, line.before, line.after) for line in found.messages[0].lines]
    assert marks == [(" ", "one", 1, 1), ("-", "two", 2, 0), ("+", "2", 0, 2), (" ", "three", 3, 3)]
    assert [(each.key, each.state) for each in found.parameters] == [
        ("seed", "removed"),
        ("temperature", "changed"),
    ]
    assert found.model is not None
    assert (found.model.state, found.model.after) == ("added", "small")
    assert found.output_schema is not None
    assert [(each.title, each.state) for each in found.tools] == [("look_up", "added")]
    assert difference(before, before).same
