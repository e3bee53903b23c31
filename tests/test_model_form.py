"""Forms made from settings models: any field gets an input, and what is typed comes back as settings."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from ratchet.config import describe_problems, problems_of, shaped
from ratchet.gateway.settings import ProviderSettings, RouteSettings
from ratchet.studio.model_form import FormField, ModelForm, blank_form, filled_form, read_form, refilled_form


class Inner(BaseModel):
    depth: int = 1


class Odd(BaseModel):
    """A field of each kind there may be."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["one", "two"]
    mood: Literal["calm", "wild"] = "calm"
    where: HttpUrl | None = None
    size: int = Field(default=3, ge=1, le=9)
    share: float | None = None
    words: list[str] = Field(default_factory=list[str])
    single: list[Annotated[str, shaped(r"[a-z]+", "lower-case letters")]] = Field(
        default_factory=list[str], max_length=1
    )
    on: bool = True
    perhaps: bool | None = None
    weights: dict[str, float] = Field(default_factory=dict[str, float])
    inner: Inner | None = None
    note: str = Field(default="", description="For whoever comes next.")

    @model_validator(mode="after")
    def _together(self) -> Odd:
        if self.share is not None and self.size > 5:
            raise ValueError("share needs a size of 5 at most")
        return self


def field(form: ModelForm, name: str) -> FormField:
    return next(each for each in form.fields if each.name == name)


def typed(form: ModelForm) -> dict[str, list[str]]:
    """What a browser sends of a form as it stands."""
    sent: dict[str, list[str]] = {}
    for each in form.fields:
        if each.look == "switch":
            if each.value == "true":
                sent[each.name] = ["true"]
        elif each.look == "choice" and not each.value:
            sent[each.name] = [each.options[0][0]]
        else:
            sent[each.name] = [each.value]
    return sent


def test_each_kind_of_field_has_its_input() -> None:
    form = blank_form(Odd)
    looks = {each.name: each.look for each in form.fields}
    assert looks == {
        "kind": "choice", "mood": "choice", "where": "text", "size": "number", "share": "number", "words": "lines",
        "single": "text", "on": "switch", "perhaps": "choice", "weights": "json", "inner": "json", "note": "text",
    }  # fmt: skip
    assert field(form, "kind").required
    assert [value for value, _ in field(form, "kind").options] == ["one", "two"]
    assert [value for value, _ in field(form, "perhaps").options] == ["", "true", "false"]
    assert field(form, "size").hint == "At least 1, at most 9."
    assert field(form, "size").placeholder == "3"
    assert field(form, "note").hint == "For whoever comes next."
    assert field(form, "on").value == "true", "a switch shows its default"


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "two"},
        {"kind": "one", "mood": "wild", "where": "http://h/v1", "size": 4, "share": 0.25},
        {"kind": "one", "words": ["a b", "c"], "single": ["x"], "on": False, "perhaps": False},
        {"kind": "one", "perhaps": True, "weights": {"a": 1.5}, "inner": {"depth": 2}, "note": "so"},
    ],
)
def test_a_form_sent_back_as_it_stands_changes_nothing(settings: dict[str, object]) -> None:
    kept = Odd.model_validate(settings).model_dump(mode="json", exclude_defaults=True)
    again = read_form(Odd, typed(filled_form(Odd, kept)))
    assert Odd.model_validate(again).model_dump(mode="json", exclude_defaults=True) == kept


def test_mistakes_stand_beside_their_fields_and_nothing_is_lost() -> None:
    sent = {
        "kind": ["three"],
        "size": ["99"],
        "words": ["a\nb"],
        "weights": ["{"],
        "single": ["A"],
        "note": ["kept"],
    }
    with pytest.raises(ValidationError) as caught:
        Odd.model_validate(read_form(Odd, sent))
    form = refilled_form(Odd, sent, problems_of(caught.value, Odd), message="no", remedy="")
    errors = {each.name: each.error for each in form.fields if each.error}
    assert errors == {
        "kind": "Expected 'one' or 'two'; found 'three'.",
        "size": "Expected a number of at most 9; found '99'.",
        "single": "Expected lower-case letters; found 'A'.",
        "weights": "Expected a table; found '{'.",
    }
    assert field(form, "note").value == "kept"
    assert field(form, "words").value == "a\nb"
    assert form.error == "", "what is said beside a field is not said again above"


def test_a_mistake_of_the_whole_stands_beside_the_field_it_names() -> None:
    sent = {"kind": ["one"], "size": ["7"], "share": ["1"]}
    with pytest.raises(ValidationError) as caught:
        Odd.model_validate(read_form(Odd, sent))
    form = refilled_form(Odd, sent, problems_of(caught.value, Odd), message="no", remedy="")
    assert field(form, "size").error + field(form, "share").error == "Share needs a size of 5 at most."


@pytest.mark.parametrize("model", [ProviderSettings, RouteSettings])
def test_the_gateways_own_models_have_forms_with_words(model: type[BaseModel]) -> None:
    form = blank_form(model)
    assert {each.name for each in form.fields} == set(model.model_fields)
    assert all(each.label for each in form.fields)


def test_no_wording_of_the_validators_own_reaches_people() -> None:
    wrong = {
        "kind": 7,
        "where": "x y",
        "size": "q",
        "share": "q",
        "words": 7,
        "on": "q",
        "weights": 1,
        "inner": 1,
        "note": 1,
        "z": 1,
    }
    with pytest.raises(ValidationError) as caught:
        Odd.model_validate(wrong)
    told = describe_problems(caught.value, Odd)
    assert told.count(";") == len(wrong) - 1
    for words in ("nput should", "nput is", "unable to parse", "permitted", "valid "):
        assert words not in told, told
