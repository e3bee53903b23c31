"""Streams put together and answers taken apart, in the neutral form."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from generated import answers
from ratchet.dialects.expressing import refuse_foreign
from ratchet.dialects.folded import Folding, fold, joined_extra, unfold
from ratchet.dialects.signatures import tagged, untagged
from ratchet.domain.generation import (
    Answer,
    ChoiceEnded,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    SignatureDelta,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    UsageReported,
)
from ratchet.domain.messages import (
    BlobPart,
    GenericPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import InvalidRequest, UpstreamFailed


@given(answers(signed_by="anthropic", refusals=True, most_choices=3))
def test_an_answer_taken_apart_and_put_together_is_the_same(answer: Answer) -> None:
    assert fold(unfold(answer), answer.dialect) == answer


def test_parts_without_text_cross_whole() -> None:
    answer = Answer(
        dialect="d",
        id="i",
        model="m",
        choices=[
            Message(
                "assistant",
                [
                    BlobPart("image", "AAAA", "image/png", None, {"x": 1}),
                    GenericPart("search", {"q": 1}),
                    ToolCallPart("c", "f", None),
                    ToolCallPart("c", "f", ""),
                    ToolCallPart("c", "f", "not json"),
                    ToolCallPart("c", "f", {}, "sig", "gemini"),
                    TextPart("", {"a": [1]}),
                ],
                None,
                None,
                {"stop_reason": "x"},
            )
        ],
        usage=Usage(1, 2),
        service_tier="flex",
        extra={"system_fingerprint": "fp"},
    )
    assert fold(unfold(answer), "d") == answer


def test_pieces_proofs_and_what_comes_late_are_put_together() -> None:
    answer = fold(
        [
            StreamStarted(id="i", model="m", usage=Usage(5)),
            PartStarted(0, 0, ReasoningPart("a")),
            PartStarted(1, 0, TextPart("")),
            PartDelta(0, 0, "b"),
            SignatureDelta(0, 0, "s1", "anthropic"),
            SignatureDelta(0, 0, "s2", "anthropic"),
            PartStarted(0, 1, ToolCallPart("c", "f", {})),
            PartDelta(0, 1, '{"x"'),
            PartDelta(1, 0, "hi", {"citations": [1]}),
            PartDelta(1, 0, "!", {"citations": [2]}),
            PartDelta(0, 1, ":1}"),
            PartEnded(1, 0, {"end": True}),
            ChoiceEnded(1, "stop"),
            ChoiceEnded(0, "tool_call", {"stop_reason": "tool_use"}),
            UsageReported(Usage(5, 6)),
            UsageReported(Usage(5, 7), {"cost": 1}),
            StreamEnded({"more": 2}),
        ],
        "anthropic",
    )
    assert answer.choices == [
        Message(
            "assistant",
            [ReasoningPart("ab", "s1s2", "anthropic"), ToolCallPart("c", "f", {"x": 1})],
            None,
            "tool_call",
            {"stop_reason": "tool_use"},
        ),
        Message("assistant", [TextPart("hi!", {"citations": [1, 2], "end": True})], None, "stop"),
    ]
    assert (answer.usage, answer.extra) == (Usage(5, 7), {"cost": 1, "more": 2})


def test_a_stream_that_was_cut_says_what_came_and_one_that_failed_says_why() -> None:
    folding = Folding("d")
    for event in (StreamStarted(id="i", model="m"), PartStarted(0, 0, TextPart("")), PartDelta(0, 0, "Hel")):
        folding.take(event)
    assert folding.answer().choices == [Message("assistant", [TextPart("Hel")])]
    assert not folding.ended
    with pytest.raises(UpstreamFailed, match="overloaded"):
        fold([StreamFailed("overloaded")], "d")


def test_extras_are_joined() -> None:
    assert joined_extra(None, {"a": 1}) == {"a": 1}
    assert joined_extra({"a": [1], "b": {"c": [2], "d": 1}}, {"a": [3], "b": {"c": [4], "d": 2}}) == {
        "a": [1, 3],
        "b": {"c": [2, 4], "d": 2},
    }


def test_a_proof_travels_through_another_dialect_with_its_makers_name() -> None:
    assert tagged("sig", "anthropic", "anthropic") == "sig"
    assert tagged("sig", "anthropic", "openai_chat") == "anthropic:sig"
    assert untagged("anthropic:sig", "openai_chat") == ("sig", "anthropic")
    assert untagged("sig:with colon", "openai_chat") == ("sig:with colon", "openai_chat")


def test_what_is_null_or_empty_or_a_hint_may_be_left_out_and_nothing_else() -> None:
    said = {"annotations": [{"url": "x"}], "refusal": None, "audio": {}, "tool_calls": [], "wire": "parts"}
    asker = Message("user", [TextPart("y")])
    begun = Message("assistant", [TextPart("x")], extra=said)
    asked = Request(dialect="a", model="m", messages=[begun, asker])
    refuse_foreign(asked, "anthropic")
    with pytest.raises(InvalidRequest, match="web_search_options"):
        refuse_foreign(msgspec.structs.replace(asked, extra={"web_search_options": {}}), "anthropic")
    for value in (0, False, "x", [1]):
        more = Message("assistant", [TextPart("x")], extra={"colour": value})
        with pytest.raises(InvalidRequest, match=r"messages\[0\]\.colour"):
            refuse_foreign(msgspec.structs.replace(asked, messages=[more, asker]), "anthropic")
