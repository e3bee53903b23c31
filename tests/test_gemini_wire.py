"""Recorded exchanges with Gemini, at Google's own address and at Vertex's: there and back, streamed and not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import yaml
from genai_prices import calc_price, extract_usage
from google import genai
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.catalog.prices import PriceBook, vendor_of
from ratchet.dialects.folded import fold
from ratchet.dialects.gemini import DIALECT, model_of_path, path
from ratchet.dialects.sse import data_of_stream
from ratchet.domain.generation import HostedTool, Request, StreamEnded, Tool
from ratchet.domain.messages import GenericPart, ReasoningPart, TextPart, ToolCallPart, UriPart

WIRE = Path(__file__).parent / "wire" / "gemini"
WHEN = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
BOOK = PriceBook()
ASKED = Request(dialect="gemini", model="", messages=[])


def exchanges(*, stream: bool) -> list[Any]:
    found: list[Any] = []
    for recording in sorted(WIRE.glob("*.yaml")):
        for number, exchange in enumerate(yaml.safe_load(recording.read_text())["interactions"]):
            asked = model_of_path(exchange["request"]["uri"])
            if asked and asked[1] == stream:
                found.append(pytest.param(exchange, id=f"{recording.stem}-{number}"))
    return found


WHOLE, STREAMED = exchanges(stream=False), exchanges(stream=True)


def request_body(exchange: Any) -> bytes:
    return json.dumps(exchange["request"]["parsed_body"]).encode()


def answer_body(exchange: Any) -> bytes:
    return json.dumps(exchange["response"]["parsed_body"]).encode()


def stream_body(exchange: Any) -> bytes:
    return exchange["response"]["body"]["string"].encode()


_KNOWN_SNAKE = {
    "parameters_json_schema": "parametersJsonSchema",
    "include_thoughts": "includeThoughts",
    "file_uri": "fileUri",
    "mime_type": "mimeType",
}


def canonical(value: Any) -> Any:
    """The recordings' client writes some names in snake_case, which is the one thing that is not kept."""
    if isinstance(value, dict):
        return {_KNOWN_SNAKE.get(name, name): canonical(field) for name, field in value.items()}
    return [canonical(entry) for entry in value] if isinstance(value, list) else value


def events_of(stream: bytes) -> list[Any]:
    reader = DIALECT.stream_reader()
    return reader.feed(stream) + reader.finish()


def test_there_is_something_to_replay() -> None:
    assert (len(WHOLE), len(STREAMED)) == (46, 7)


@pytest.mark.parametrize("exchange", WHOLE + STREAMED)
def test_a_recorded_request_comes_back_the_same(exchange: Any) -> None:
    sent = exchange["request"]["parsed_body"]
    request = DIALECT.read_request(request_body(exchange))
    assert json.loads(DIALECT.write_request(request)) == canonical(sent)
    functions = [f for tool in sent.get("tools", []) for f in tool.get("functionDeclarations", [])]
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == [f["name"] for f in functions]
    for tool in request.tools:
        assert isinstance(tool, HostedTool) or tool.parameters["type"] == "object"
    texts = [part["text"] for content in sent["contents"] for part in content["parts"] if "text" in part]
    assert [
        part.content
        for message in request.messages
        for part in message.parts
        if isinstance(part, TextPart | ReasoningPart) and message.role != "system"
    ] == texts


@pytest.mark.parametrize("exchange", WHOLE)
def test_a_recorded_answer_comes_back_the_same(exchange: Any) -> None:
    said = exchange["response"]["parsed_body"]
    answer, head = DIALECT.read_answer(answer_body(exchange)), DIALECT.answer_head(answer_body(exchange))
    assert json.loads(DIALECT.write_answer(answer, ASKED)) == said
    assert head is not None
    assert (head.id, head.model, head.service_tier) == (answer.id, answer.model, answer.service_tier)
    assert head.finish_reasons == [message.finish_reason for message in answer.choices]
    assert head.tokens == answer.usage
    assert answer.usage.input is not None
    assert answer.usage.output is not None
    assert answer.usage.input + answer.usage.output == said["usageMetadata"]["totalTokenCount"]


class _Replies(BaseHTTPRequestHandler):
    """Answers everything with `server.content`, and keeps the last path asked for."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        server = cast("Google", self.server)
        server.asked = self.path
        self.send_response(200)
        self.send_header("content-type", server.kind)
        self.send_header("content-length", str(len(server.content)))
        self.end_headers()
        self.wfile.write(server.content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        del format, args


class Google(ThreadingHTTPServer):
    content = b""
    kind = "application/json"
    asked = ""

    def models(self, content: bytes, kind: str = "application/json") -> Any:
        """The official client's `models`, which get this content for an answer."""
        self.content, self.kind = content, kind
        options = types.HttpOptions(
            base_url=f"http://127.0.0.1:{self.server_address[1]}", api_version="v1beta"
        )
        self.client = genai.Client(api_key="k", http_options=options)
        return self.client.models


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    with Google(("127.0.0.1", 0), _Replies) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("exchange", WHOLE)
def test_the_official_client_reads_what_is_written(google: Google, exchange: Any) -> None:
    """In the answer's own words, and as an answer of another dialect's model."""
    answer = DIALECT.read_answer(answer_body(exchange))
    foreign = msgspec.structs.replace(answer, dialect="openai_chat")
    theirs, *ours = (
        google.models(body).generate_content(model="m", contents="?")
        for body in (
            answer_body(exchange),
            DIALECT.write_answer(answer, ASKED),
            DIALECT.write_answer(foreign, ASKED),
        )
    )
    assert google.asked == path("m", stream=False)
    for said in ours:
        assert said.response_id == theirs.response_id
        assert said.text == theirs.text
        assert [(call.name, call.args) for call in said.function_calls or ()] == [
            (call.name, call.args) for call in theirs.function_calls or ()
        ]
        assert said.usage_metadata is not None
        assert theirs.usage_metadata is not None
        for count in ("total_token_count", "prompt_token_count", "thoughts_token_count"):
            if (
                theirs.usage_metadata.tool_use_prompt_token_count is None
            ):  # no other dialect tells these apart
                assert getattr(said.usage_metadata, count) == getattr(theirs.usage_metadata, count)


def joined(stream: bytes) -> dict[str, Any]:
    """The plainest putting together there is, to compare with: one candidate; texts of one kind are one part."""
    parts: list[dict[str, Any]] = []
    candidate: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    for data in data_of_stream(stream):
        chunk = json.loads(data)
        for found in chunk.pop("candidates"):
            for part in found.pop("content").get("parts", []):
                if (
                    parts
                    and "text" in part
                    and "text" in parts[-1]
                    and part.get("thought") == parts[-1].get("thought")
                ):
                    parts[-1] |= part | {"text": parts[-1]["text"] + part["text"]}
                elif part != {"text": ""}:
                    parts.append(part)
            candidate |= {name: value for name, value in found.items() if value or name not in candidate}
        whole |= chunk
    return whole | {"candidates": [candidate | {"content": {"parts": parts, "role": "model"}}]}


@pytest.mark.parametrize("exchange", STREAMED)
def test_a_recorded_stream_says_what_the_whole_answer_would(exchange: Any) -> None:
    stream = stream_body(exchange)
    events, whole = events_of(stream), joined(stream)
    answer = DIALECT.read_answer(json.dumps(whole).encode())
    assert fold(events, "gemini") == answer
    assert isinstance(events[-1], StreamEnded)
    head = DIALECT.stream_head()
    head.feed(stream)
    head.finish()
    assert head.done
    assert head.has_content
    assert head.error is None
    assert (head.id, head.model, head.service_tier or None) == (answer.id, answer.model, answer.service_tier)
    assert head.finish_reasons == [message.finish_reason for message in answer.choices]
    assert head.tokens == answer.usage


@pytest.mark.parametrize("exchange", STREAMED)
def test_a_recorded_stream_written_again_says_the_same(google: Google, exchange: Any) -> None:
    events = events_of(stream_body(exchange))
    writer = DIALECT.stream_writer(ASKED)
    again = b"".join(writer.write(event) for event in events)
    read = google.models(again, "text/event-stream").generate_content_stream(model="m", contents="?")
    texts = [part.text or "" for chunk in read for part in (chunk.parts or []) if not part.thought]
    once, twice = fold(events, "gemini"), fold(events_of(again), "gemini")
    assert twice.choices[0].parts == once.choices[0].parts
    assert (twice.id, twice.model, twice.usage) == (once.id, once.model, once.usage)
    assert twice.choices[0].finish_reason == once.choices[0].finish_reason
    said = [part.content for part in once.choices[0].parts if isinstance(part, TextPart)]
    assert "".join(texts) == "".join(said)


@pytest.mark.parametrize("exchange", STREAMED)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_same_events_however_a_stream_is_cut(exchange: Any, data: st.DataObject) -> None:
    stream = stream_body(exchange)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader, head = DIALECT.stream_reader(), DIALECT.stream_head()
    events: list[Any] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += reader.feed(stream[start:end])
        head.feed(stream[start:end])
    head.finish()
    assert events + reader.finish() == events_of(stream)
    assert head.done


@pytest.mark.parametrize("exchange", STREAMED)
def test_a_stream_that_breaks_off_is_never_whole(exchange: Any) -> None:
    stream = stream_body(exchange)
    chunks = stream.split(b"\r\n\r\n") if b"\r\n\r\n" in stream else stream.split(b"\n\n")
    for place, chunk in enumerate(chunks):
        if b'"finishReason"' in chunk:
            cut = b"\n\n".join([*chunks[:place], b""])
            head = DIALECT.stream_head()
            head.feed(cut)
            head.finish()
            assert not head.done
            assert not any(isinstance(event, StreamEnded) for event in events_of(cut))
            return
    pytest.fail("the recording has no finish reason")


def test_recorded_urls_name_the_model() -> None:
    urls = {exchange.values[0]["request"]["uri"] for exchange in WHOLE + STREAMED}
    assert {url.partition("//")[2].partition("/")[0] for url in urls} == {
        "generativelanguage.googleapis.com",
        "aiplatform.googleapis.com",
        "europe-west4-aiplatform.googleapis.com",
    }
    for model in ("gemini-3.5-flash", "models/gemini-2.5-pro"):
        for stream in (False, True):
            assert model_of_path(path(model, stream)) == (model.removeprefix("models/"), stream)
    assert model_of_path("https://example.com/v1/chat/completions") is None


def test_recorded_parts_that_only_google_has_are_kept_whole() -> None:
    found = [
        part
        for exchange in WHOLE
        for message in DIALECT.read_answer(answer_body(exchange.values[0])).choices
        for part in message.parts
    ]
    assert {part.name for part in found if isinstance(part, GenericPart)} == {"thoughtSignature"}
    signed = [part for part in found if isinstance(part, ToolCallPart) and part.signature]
    assert signed
    assert {part.origin for part in signed} == {"gemini"}
    asked = [
        part
        for exchange in WHOLE
        for message in DIALECT.read_request(request_body(exchange.values[0])).messages
        for part in message.parts
    ]
    links = {(part.modality, part.mime_type) for part in asked if isinstance(part, UriPart)}
    assert links == {("video", "video/mp4"), ("video", "video/webm")}


@pytest.mark.parametrize("exchange", WHOLE)
def test_a_recorded_answer_costs_what_the_price_list_says(exchange: Any) -> None:
    """Thoughts are billed as output, and what the provider's tools put into the prompt as input."""
    said = exchange["response"]["parsed_body"]
    answer = DIALECT.read_answer(answer_body(exchange))
    extracted = extract_usage(said, provider_id="google")
    published = calc_price(
        extracted.usage, model_ref=answer.model, provider_id="google", genai_request_timestamp=WHEN
    )
    vendor = vendor_of("gemini", "", "anything")
    cost = BOOK.cost("g", (answer.model,), answer.usage, int(WHEN.timestamp()) * 10**9, vendor=vendor)
    assert cost == published.total_price
    assert cost
