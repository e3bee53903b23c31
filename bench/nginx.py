"""nginx in two parts: the upstream that answers at once, and the bare reverse proxy to compare with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.processes import BenchError, Child, Children, free_port, get

__all__ = ["ANSWER", "MODEL", "nginx_binary", "start_proxy", "start_upstream"]

MODEL = "gpt-4o-mini"
ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench0000000000000000000000",
        "object": "chat.completion",
        "created": 1767225600,
        "model": f"{MODEL}-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Parcels leave our warehouse within one working day. Standard delivery takes two to four "
                    "days, express the next morning. You get a tracking link by e-mail as soon as yours has left.",
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 61,
            "completion_tokens": 42,
            "total_tokens": 103,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    },
    separators=(",", ":"),
)

_SAID = json.loads(ANSWER)["choices"][0]["message"]["content"]
_ANTHROPIC_ANSWER = json.dumps(
    {
        "id": "msg_bench0000000000000000",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": _SAID}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 61,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 42,
            "service_tier": "standard",
        },
    },
    separators=(",", ":"),
)
_GEMINI_ANSWER = json.dumps(
    {
        "candidates": [
            {"content": {"parts": [{"text": _SAID}], "role": "model"}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 61, "candidatesTokenCount": 42, "totalTokenCount": 103},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "bench00000000000000000",
    },
    separators=(",", ":"),
)

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  tcp_nodelay on;
  client_max_body_size 64m;
  client_body_buffer_size 256k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{body}
}}
"""

_UPSTREAM = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /healthz {{ return 200 'ok'; }}
    location = /v1/chat/completions {{ return 200 '{answer}'; }}
    location = /v1/messages {{ return 200 '{anthropic}'; }}
    location ^~ /v1beta/models/ {{ return 200 '{gemini}'; }}
    location = /v1/models {{ return 200 '{{"object":"list","data":[]}}'; }}
  }}"""

_PROXY = """\
  upstream provider {{
    server 127.0.0.1:{target};
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /healthz {{ return 200 'ok'; }}
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {buffering};
    }}
  }}"""


def nginx_binary() -> str:
    """Where nginx is. Raises BenchError, saying how to install it."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise BenchError("nginx is not installed. Install it: apt-get install -y nginx-light wrk")
    return found


def start_upstream(children: Children, *, core: int) -> int:
    """An upstream that says the same to every request, in the dialect it is asked in. Returns its port."""
    port = free_port()
    _start(
        children,
        "upstream",
        _UPSTREAM.format(port=port, answer=ANSWER, anthropic=_ANTHROPIC_ANSWER, gemini=_GEMINI_ANSWER),
        port,
        core,
    )
    return port


def start_proxy(children: Children, target: int, *, core: int, buffering: bool = True) -> tuple[Child, int]:
    """A bare reverse proxy in front of the port `target`."""
    port = free_port()
    body = _PROXY.format(port=port, target=target, buffering="on" if buffering else "off")
    child = _start(children, "nginx", body, port, core)
    return child, port


def _start(children: Children, name: str, body: str, port: int, core: int) -> Child:
    folder = Path(children.folder / f"{name}-{port}").absolute()
    folder.mkdir(parents=True)
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, body=body))
    child = children.start(f"{name}-{port}", [nginx_binary(), "-p", folder, "-c", config], core=core)
    child.wait_answer(port, "/healthz", seconds=10)
    if get(port, "/healthz")[1] != b"ok":
        raise BenchError(f"something else than {name} answers on port {port}")
    return child
