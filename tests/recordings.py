"""Exchanges recorded with real providers, for the tests of each dialect. Their source: `wire/README.md`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = ["WIRE", "is_stream", "recorded", "request_body", "response_body"]

WIRE = Path(__file__).parent / "wire"


def recorded(folder: str, wanted: Callable[[str], bool]) -> list[Any]:
    """The exchanges in `wire/<folder>` whose address is `wanted`, as parameters with names."""
    found: list[Any] = []
    for path in sorted((WIRE / folder).glob("*.yaml")):
        for number, exchange in enumerate(yaml.safe_load(path.read_text())["interactions"]):
            if wanted(exchange["request"]["uri"]):
                found.append(pytest.param(exchange, id=f"{path.stem}-{number}"))
    return found


def request_body(exchange: Any) -> bytes:
    return json.dumps(exchange["request"]["parsed_body"]).encode()


def response_body(exchange: Any) -> bytes:
    response = exchange["response"]
    if "parsed_body" in response:
        return json.dumps(response["parsed_body"]).encode()
    return response["body"]["string"].encode()


def is_stream(exchange: Any) -> bool:
    return bool(exchange["request"]["parsed_body"].get("stream"))
