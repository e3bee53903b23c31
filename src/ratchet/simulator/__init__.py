"""A provider to try things with: every provider's wire format, a support bot that errs, and faults on request.

`simulator_app()` is an ASGI app; `serve()` runs it alone. docs/simulator.md says what it does and how well.
"""

from __future__ import annotations

from ratchet.simulator.answer import Answer, Choice, answer
from ratchet.simulator.app import Simulator, simulator_app
from ratchet.simulator.ask import Ask
from ratchet.simulator.faults import Fault, Rule, parse_fault, parse_rules
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.server import SimulatorProtocol, load_script, serve

__all__ = [
    "Answer",
    "Ask",
    "Choice",
    "Fault",
    "Handbook",
    "Rule",
    "Simulator",
    "SimulatorProtocol",
    "answer",
    "load_script",
    "parse_fault",
    "parse_rules",
    "serve",
    "simulator_app",
]
