"""Recorded exchanges with Anthropic's API, and what it holds for the same request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = ["EXCHANGES", "STREAMS", "canonical", "folded_stream", "is_stream", "request_body", "response_body"]

WIRE = Path(__file__).parent / "wire" / "anthropic"


def _exchanges(wanted: Callable[[Any], bool]) -> list[Any]:
    found: list[Any] = []
    for path in sorted(WIRE.glob("*.yaml")):
        for number, exchange in enumerate(yaml.safe_load(path.read_text())["interactions"]):
            address = exchange["request"]["uri"]
            if "anthropic.com/v1/messages?" in address and wanted(exchange):
                found.append(pytest.param(exchange, id=f"{path.stem}-{number}"))
    return found


def is_stream(exchange: Any) -> bool:
    return bool(exchange["request"]["parsed_body"].get("stream"))


def request_body(exchange: Any) -> bytes:
    return json.dumps(exchange["request"]["parsed_body"]).encode()


def response_body(exchange: Any) -> bytes:
    response = exchange["response"]
    if "parsed_body" in response:
        return json.dumps(response["parsed_body"]).encode()
    return response["body"]["string"].encode()


EXCHANGES = _exchanges(lambda _: True)
STREAMS = _exchanges(is_stream)


def _content(content: Any) -> Any:
    """A text and a list of one block with it are the same; in results of tools too."""
    if not isinstance(content, list):
        return content
    if len(content) == 1 and set(content[0]) == {"type", "text"} and content[0]["type"] == "text":
        return content[0]["text"]
    return [
        {**block, "content": _content(block["content"])}
        if block.get("type") == "tool_result" and "content" in block
        else block
        for block in content
    ]


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def canonical(request: dict[str, Any]) -> dict[str, Any]:
    """What Anthropic itself makes of a request: turns of one role in a row are one turn, and so on."""
    body = {name: value for name, value in request.items() if (name, value) != ("stream", False)}
    turns: list[dict[str, Any]] = []
    for message in body["messages"]:
        if turns and turns[-1]["role"] == message["role"] and set(message) == {"role", "content"}:
            joined = _blocks(turns[-1]["content"]) + _blocks(message["content"])
            turns[-1] = {"role": message["role"], "content": joined}
        else:
            turns.append(message)
    body["messages"] = [{**turn, "content": _content(turn["content"])} for turn in turns]
    if "system" in body:
        body["system"] = _content(body["system"])
        if not body["system"]:
            del body["system"]
    tools = [
        {n: value for n, value in tool.items() if (n, value) != ("type", "custom")}
        for tool in body.pop("tools", [])
    ]
    if tools:
        body["tools"] = tools
    if "output_format" in body:
        body["output_config"] = {**body.get("output_config", {}), "format": body.pop("output_format")}
    user = body.pop("metadata", {}).get("user_id")
    if user:
        body["metadata"] = {"user_id": user}
    return body


def folded_stream(stream: bytes) -> dict[str, Any]:
    """The plainest folding there is: the message that the documentation says a stream amounts to."""
    message: dict[str, Any] = {}
    texts: dict[int, str] = {}
    for line in stream.decode().splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            message["content"].append(event["content_block"])
            texts[event["index"]] = ""
        elif event["type"] == "content_block_delta":
            block, delta = message["content"][event["index"]], event["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] = delta["signature"]
                case "citations_delta":
                    block["citations"].append(delta["citation"])
                case "input_json_delta":
                    texts[event["index"]] += delta["partial_json"]
                case kind:
                    raise AssertionError(kind)
        elif event["type"] == "content_block_stop":
            if texts[event["index"]]:
                message["content"][event["index"]]["input"] = json.loads(texts[event["index"]])
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] |= {name: value for name, value in event["usage"].items() if value is not None}
            message |= {n: value for n, value in event.items() if n not in ("type", "delta", "usage")}
    return message
