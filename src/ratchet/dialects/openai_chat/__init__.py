"""OpenAI chat completions."""

from __future__ import annotations

import dataclasses
import functools

from ratchet.dialects.dialect import Dialect
from ratchet.dialects.openai_chat.answer import read_answer, write_answer
from ratchet.dialects.openai_chat.head import (
    StreamHead,
    answer_head,
    error_body,
    error_event,
    error_message,
    request_head,
)
from ratchet.dialects.openai_chat.naming import check_request, field_name
from ratchet.dialects.openai_chat.request import read_request, write_request
from ratchet.dialects.openai_chat.rewrite import rewrite_request
from ratchet.dialects.openai_chat.stream import StreamReader
from ratchet.dialects.openai_chat.stream_writer import StreamWriter
from ratchet.dialects.openai_chat.thoughts import NAME
from ratchet.dialects.prefixing import prefix_chat

__all__ = ["DIALECT", "LOOK_ALIKE"]

DIALECT = Dialect(
    name=NAME,
    operation="chat",
    request_head=request_head,
    answer_head=answer_head,
    stream_head=StreamHead,
    rewrite=rewrite_request,
    error_body=error_body,
    error_event=error_event,
    error_message=error_message,
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    stream_reader=StreamReader,
    stream_writer=StreamWriter,
    check_request=check_request,
    field_name=field_name,
    put_prompt=prefix_chat,
)

# The same, as OpenAI spoke it when most of its look-alikes learned it.
LOOK_ALIKE = dataclasses.replace(
    DIALECT, write_request=functools.partial(write_request, output_limit="max_tokens")
)
