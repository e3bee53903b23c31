"""Each fault, seen from a raw socket or the official client; scripts; and what the simulator counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from tests.conftest import eventually

from ratchet.errors import InvalidRequest, Misconfigured
from ratchet.simulator import Fault, Simulator, load_script, parse_fault, serve
from ratchet.simulator.faults import FAULT_NAMES

BODY: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Wie lange ist die Garantie? Größe"}],
}


@pytest.fixture
async def http(simulator: tuple[str, Simulator]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulator[0]) as made:
        yield made


async def raw(simulator: tuple[str, Simulator], fault: str, **fields: Any) -> tuple[bytes, bytes]:
    """Head and everything after it, as it came over the socket until the server closed or went quiet."""
    port = int(simulator[0].split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({**BODY, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-simulate: {fault}\r\n"
    writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    try:
        found = await asyncio.wait_for(reader.read(-1), 5)
    finally:
        writer.close()
    head_bytes, _, rest = found.partition(b"\r\n\r\n")
    return head_bytes, rest


def unchunked(data: bytes) -> tuple[list[bytes], bool]:
    """HTTP chunks, and whether the last one (of size 0) came."""
    chunks: list[bytes] = []
    while data:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return chunks, True
        chunks.append(data[: int(size, 16)])
        data = data[int(size, 16) + 2 :]
    return chunks, False


async def plain_stream(simulator: tuple[str, Simulator]) -> bytes:
    _, rest = await raw(simulator, "", stream=True)
    return b"".join(unchunked(rest)[0])


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (402, "invalid_request_error", "billing_not_active"),
        (403, "invalid_request_error", "unsupported_country_region_territory"),
        (413, "invalid_request_error", "request_too_large"),
        (429, "requests", "rate_limit_exceeded"),
        (500, "server_error", None),
        (503, "server_error", None),
    ],
)
async def test_statuses_come_with_openais_error_body(
    http: httpx2.AsyncClient, status: int, kind: str, code: str | None
) -> None:
    response = await http.post("/chat/completions", json=BODY, headers={"x-simulate": f"status={status}"})
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, None)
    assert error["message"]


async def test_429_says_when_to_come_back(simulator: tuple[str, Simulator]) -> None:
    async with AsyncOpenAI(base_url=simulator[0], api_key="k", max_retries=0) as client:
        with pytest.raises(openai.RateLimitError) as limited:
            await client.chat.completions.create(
                **BODY, extra_headers={"x-simulate": "status=429; retry-after=1.5"}
            )
        headers = limited.value.response.headers
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")
        assert headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as broke:
            await client.chat.completions.create(
                **BODY, extra_headers={"x-simulate": "status=429; code=insufficient_quota"}
            )
        assert broke.value.code == "insufficient_quota"
        assert broke.value.type == "insufficient_quota"


async def test_bodies_can_be_html_empty_malformed_or_truncated(
    http: httpx2.AsyncClient, simulator: tuple[str, Simulator]
) -> None:
    html = await http.post("/chat/completions", json=BODY, headers={"x-simulate": "status=500; body=html"})
    assert (html.status_code, html.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert html.text.startswith("<!DOCTYPE html>")
    streamed = {**BODY, "stream": True}
    fine = await http.post("/chat/completions", json=streamed, headers={"x-simulate": "body=html"})
    assert (fine.status_code, fine.text[:9]) == (200, "<!DOCTYPE")
    empty = await http.post("/chat/completions", json=BODY, headers={"x-simulate": "body=empty"})
    assert (empty.status_code, empty.content) == (200, b"")
    malformed = await http.post("/chat/completions", json=BODY, headers={"x-simulate": "body=malformed"})
    with pytest.raises(json.JSONDecodeError):
        malformed.json()
    head, rest = await raw(simulator, "body=truncated")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert 0 < len(rest) < length
    kind = await http.post("/chat/completions", json=BODY, headers={"x-simulate": "content-type=text/plain"})
    assert kind.headers["content-type"] == "text/plain"
    assert kind.json()["object"] == "chat.completion"


async def test_the_answer_itself_can_be_empty_refused_filtered_or_of_any_length(
    simulator: tuple[str, Simulator],
) -> None:
    async with AsyncOpenAI(base_url=simulator[0], api_key="k", max_retries=0) as client:

        async def ask(fault: str) -> Any:
            return await client.chat.completions.create(**BODY, extra_headers={"x-simulate": fault})

        empty = await ask("empty")
        assert (empty.choices[0].message.content, empty.usage.completion_tokens) == ("", 0)
        refused = (await ask("refusal")).choices[0].message
        assert (refused.content, refused.refusal[:9]) == (None, "I'm sorry")
        filtered = (await ask("content-filter")).choices[0]
        assert filtered.finish_reason == "content_filter"
        for size in (0, 1, 7, 400):
            assert (await ask(f"tokens={size}")).usage.completion_tokens == size
        assert (await ask("no-usage")).usage is None
        assert (await ask("no-finish")).choices[0].finish_reason is None
        deltas = await client.chat.completions.create(
            **BODY, stream=True, extra_headers={"x-simulate": "refusal"}
        )
        said = [chunk.choices[0].delta.refusal or "" async for chunk in deltas]
        assert "".join(said) == refused.refusal


async def test_a_cut_stream_ends_without_done_and_without_the_last_chunk(
    simulator: tuple[str, Simulator],
) -> None:
    for count in (0, 1, 4):
        _, rest = await raw(simulator, f"cut={count}", stream=True)
        chunks, finished = unchunked(rest)
        assert not finished
        text = b"".join(chunks)
        assert text.count(b"\n\n") == count
        assert b"[DONE]" not in text
        if count:
            assert text.split(b"\n\n")[-1].startswith(b"data: {"), "half a frame is left on the wire"
    async with AsyncOpenAI(base_url=simulator[0], api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(
            **BODY, stream=True, extra_headers={"x-simulate": "cut=4"}
        )
        with pytest.raises(openai.APIConnectionError):
            async for _ in stream:
                pass


async def test_no_done_no_finish_and_no_usage_are_left_out_of_a_stream(
    simulator: tuple[str, Simulator],
) -> None:
    _, rest = await raw(
        simulator, "no-done; no-finish; no-usage", stream=True, stream_options={"include_usage": True}
    )
    chunks, finished = unchunked(rest)
    text = b"".join(chunks)
    assert finished
    assert b"[DONE]" not in text
    assert b'"finish_reason":"' not in text
    assert b'"prompt_tokens"' not in text


async def test_a_connection_is_reset_before_any_header(simulator: tuple[str, Simulator]) -> None:
    with pytest.raises(ConnectionResetError):
        await raw(simulator, "reset")
    assert simulator[1].stats.disconnects == 0, "the simulator did it, not the client"


async def test_a_stalled_stream_holds_the_connection_until_the_client_leaves(
    simulator: tuple[str, Simulator],
) -> None:
    stats = simulator[1].stats
    async with AsyncOpenAI(base_url=simulator[0], api_key="k", max_retries=0, timeout=0.3) as client:
        stream = await client.chat.completions.create(
            **BODY, stream=True, extra_headers={"x-simulate": "stall=3"}
        )
        for _ in range(3):
            await anext(stream)
        with pytest.raises(openai.APITimeoutError):
            await anext(stream)
        await stream.close()
    await eventually(lambda: (stats.in_flight, stats.disconnects) == (0, 1))


async def test_a_stall_can_pass(simulator: tuple[str, Simulator]) -> None:
    _, rest = await raw(simulator, "stall=3; stall-for=20ms", stream=True)
    assert b"".join(unchunked(rest)[0]) == await plain_stream(simulator)


async def test_split_chunks_are_cut_anywhere_and_lose_nothing(simulator: tuple[str, Simulator]) -> None:
    whole = await plain_stream(simulator)
    _, rest = await raw(simulator, "split", stream=True)
    chunks, _ = unchunked(rest)
    assert b"".join(chunks) == whole
    assert len(chunks) > 2 * whole.count(b"\n\n")
    _, rest = await raw(
        simulator,
        "split",
        stream=True,
        messages=[{"role": "user", "content": "¿Puedo devolver una compra?"}],
        n=3,
    )
    assert any(0x80 <= chunk[0] < 0xC0 for chunk in unchunked(rest)[0]), (
        "also between the bytes of one character"
    )


async def test_merged_chunks_lose_nothing(simulator: tuple[str, Simulator]) -> None:
    whole = await plain_stream(simulator)
    _, rest = await raw(simulator, "merge", stream=True)
    chunks, _ = unchunked(rest)
    assert b"".join(chunks) == whole
    assert len(chunks) < whole.count(b"\n\n") / 4


async def test_framing_can_be_odd_and_still_mean_the_same(simulator: tuple[str, Simulator]) -> None:
    whole = await plain_stream(simulator)

    async def stream(fault: str) -> bytes:
        return b"".join(unchunked((await raw(simulator, fault, stream=True))[1])[0])

    assert (await stream("crlf")).replace(b"\r\n", b"\n") == whole
    assert await stream("bom") == b"\xef\xbb\xbf" + whole
    assert (await stream("no-space")).replace(b"data:", b"data: ") == whole
    commented = await stream("comments")
    assert commented.replace(b": keep-alive\n\n", b"") == whole
    assert commented.count(b": keep-alive") == whole.count(b"\n\n") - 1


async def test_a_malformed_frame_or_an_error_object_in_the_middle(simulator: tuple[str, Simulator]) -> None:
    _, rest = await raw(simulator, "garble=2", stream=True)
    frames = b"".join(unchunked(rest)[0]).split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(frames[2][6:])
    assert frames[-2] == b"data: [DONE]"
    _, rest = await raw(simulator, "error=2", stream=True)
    frames = b"".join(unchunked(rest)[0]).split(b"\n\n")
    assert json.loads(frames[2][6:])["error"]["type"] == "server_error"
    assert frames[3:] == [b""]
    async with AsyncOpenAI(base_url=simulator[0], api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(
            **BODY, stream=True, extra_headers={"x-simulate": "error=2"}
        )
        with pytest.raises(openai.APIError, match="The server had an error"):
            async for _ in stream:
                pass


async def test_latency_before_the_answer_and_between_chunks(http: httpx2.AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await http.post("/chat/completions", json=BODY, headers={"x-simulate": "latency=80ms"})
    assert loop.time() - began >= 0.08
    began = loop.time()
    async with http.stream(
        "POST",
        "/chat/completions",
        json={**BODY, "stream": True},
        headers={"x-simulate": "gap=10ms; tokens=12"},
    ) as response:
        times = [loop.time() async for chunk in response.aiter_raw() if chunk]
    assert times[-1] - began >= 0.12
    assert len(times) >= 6, "chunks come one after another, not all at the end"


async def test_faults_can_come_in_metadata_or_an_extra_field(simulator: tuple[str, Simulator]) -> None:
    async with AsyncOpenAI(base_url=simulator[0], api_key="k", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(**BODY, metadata={"simulate": "status=503"})
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(**BODY, extra_body={"simulate": "status=503"})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("explode", "no fault named 'explode'"),
        ("status=200", "400 to 599"),
        ("status=x", "whole number"),
        ("latency=soon", "'latency' wants a time"),
        ("body=blue", "'body' can't be 'blue'"),
        ("cut", "'cut' wants a whole number"),
        ("reset=maybe", "takes no value"),
    ],
)
async def test_a_fault_that_is_not_understood_is_refused(
    http: httpx2.AsyncClient, text: str, part: str
) -> None:
    response = await http.post("/chat/completions", json=BODY, headers={"x-simulate": text})
    assert response.status_code == 400
    assert part in response.json()["error"]["message"]
    with pytest.raises(InvalidRequest):
        parse_fault(text)


@given(st.sets(st.sampled_from(sorted(FAULT_NAMES))), st.integers(400, 500))
def test_every_documented_name_parses(names: set[str], number: int) -> None:
    values = {"code": "=x", "body": "=html", "content-type": "=a/b"}
    counted = {
        "latency",
        "gap",
        "tokens",
        "status",
        "retry-after",
        "cut",
        "stall",
        "stall-for",
        "error",
        "garble",
    }
    text = "; ".join(name + values.get(name, f"={number}" if name in counted else "") for name in names)
    fault = parse_fault(text)
    default = Fault()
    for name, field in FAULT_NAMES.items():
        assert (getattr(fault, field) != getattr(default, field)) == (name in names)


async def test_a_script_strikes_by_count_model_and_text(http: httpx2.AsyncClient) -> None:
    rules = [
        {"fault": "status=503", "model": "gpt-*", "after": 1, "times": 2},
        {"fault": "status=500", "text": "KAPUTT"},
    ]
    loaded = await http.post("/../_simulate/script", json={"rules": rules})
    assert loaded.status_code == 200

    async def status(model: str, text: str = "hello") -> int:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return (await http.post("/chat/completions", json=body)).status_code

    assert [await status("gpt-4o") for _ in range(4)] == [200, 503, 503, 200]
    assert await status("other") == 200
    assert await status("other", "it is kaputt") == 500
    report = (await http.get("/../_simulate/script")).json()["rules"]
    assert [(rule["matched"], rule["struck"]) for rule in report] == [(4, 2), (1, 1)]
    await http.post("/../_simulate/reset")
    assert await status("other", "it is kaputt") == 200


async def test_a_scripts_probability_is_met(http: httpx2.AsyncClient) -> None:
    await http.post("/../_simulate/script", json=[{"fault": "status=503", "probability": 0.3}])
    statuses = [(await http.post("/chat/completions", json=BODY)).status_code for _ in range(300)]
    assert 60 <= statuses.count(503) <= 120


async def test_a_wrong_script_is_refused_and_the_old_one_stays(http: httpx2.AsyncClient) -> None:
    await http.post("/../_simulate/script", json=[{"fault": "status=503"}])
    for wrong in ([{"fault": "nonsense"}], [{"flaw": "x"}], {"rules": 3}, "text"):
        assert (await http.post("/../_simulate/script", json=wrong)).status_code == 400
    assert (await http.post("/../_simulate/script", content=b"{")).status_code == 400
    assert (await http.post("/chat/completions", json=BODY)).status_code == 503


def test_scripts_are_read_from_json_and_toml_files(tmp_path: Path) -> None:
    first, second = tmp_path / "s.json", tmp_path / "s.toml"
    first.write_text('[{"fault": "reset", "times": 1}]')
    second.write_text('[[rules]]\nfault = "reset"\ntimes = 1\n')
    assert load_script(first) == load_script(second)
    second.write_text("[[rules]]\nfault = 3")
    for path in (second, tmp_path / "missing.json"):
        with pytest.raises(Misconfigured, match=path.name):
            load_script(path)


async def test_stats_count_requests_peaks_and_departures(
    simulator: tuple[str, Simulator], http: httpx2.AsyncClient
) -> None:
    waiting = [
        asyncio.create_task(http.post("/chat/completions", json=BODY, headers={"x-simulate": "latency=30s"}))
        for _ in range(5)
    ]
    await eventually(lambda: simulator[1].stats.in_flight == 5)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await eventually(lambda: simulator[1].stats.disconnects == 5)
    await http.post("/chat/completions", json=BODY)
    stats = (await http.get("/../_simulate/stats")).json()
    assert (stats["requests"], stats["in_flight"], stats["peak_in_flight"]) == (6, 0, 5)
    assert stats["by_status"] == {"200": 1}
    cleared = (await http.post("/../_simulate/reset")).json()
    assert (cleared["requests"], cleared["disconnects"]) == (0, 0)
    assert (await http.get("/../_simulate/nothing")).status_code == 404


async def test_serve_runs_alone_and_stops_when_told(tmp_path: Path) -> None:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    script = tmp_path / "script.json"
    script.write_text('[{"fault": "status=503", "times": 1}]')
    task = asyncio.create_task(serve(script=script, stop=stop, on_ready=ready.set_result, seed=4))
    address = await asyncio.wait_for(ready, 5)
    async with httpx2.AsyncClient(base_url=address) as http:
        assert (await http.post("/chat/completions", json=BODY)).status_code == 503
        assert (await http.post("/chat/completions", json=BODY)).status_code == 200
        port = int(address.split(":")[2].split("/")[0])
        with pytest.raises(Misconfigured, match=str(port)):
            await serve(port=port)
    stop.set()
    await asyncio.wait_for(task, 5)
