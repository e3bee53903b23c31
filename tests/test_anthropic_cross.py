"""Chat completions through Anthropic's dialect and back, and the other way: only what the tables say is lost."""

from __future__ import annotations

import msgspec
from hypothesis import given

import generated
from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.openai_chat.request import read_request, write_request
from ratchet.domain.generation import Request


def as_claude(request: Request) -> Request:
    """The same for a model that takes an effort, and whose schema has the name that chat completions give any."""
    return msgspec.structs.replace(request, model="claude-opus-4-8", output=None)


@given(generated.requests("openai_chat", thinking=False))
def test_a_chat_completion_goes_through_anthropics_dialect_and_comes_back(request: Request) -> None:
    sent = write_request(as_claude(request))
    there = DIALECT.write_request(read_request(sent))
    back = read_request(write_request(DIALECT.read_request(there)))
    expected = read_request(sent)
    choice = expected.tool_choice if expected.tools else None
    assert back == msgspec.structs.replace(expected, include_usage=back.include_usage, tool_choice=choice)


@given(generated.requests("anthropic", thinking=False))
def test_a_message_goes_through_chat_completions_and_comes_back(request: Request) -> None:
    sent = DIALECT.write_request(as_claude(request))
    there = write_request(DIALECT.read_request(sent))
    back = DIALECT.read_request(DIALECT.write_request(read_request(there)))
    expected = DIALECT.read_request(sent)
    # An effort alone says to chat completions, and so to Claude, that there is to be thinking.
    thinking = expected.thinking and msgspec.structs.replace(expected.thinking, mode="adaptive")
    choice = expected.tool_choice if expected.tools else None
    assert back == msgspec.structs.replace(expected, thinking=thinking, tool_choice=choice)
