"""A sample support-bot app with a few hundred users, to see everything work: `ratchet demo`."""

from __future__ import annotations

from ratchet.demo.app import DemoResult, run

__all__ = ["DemoResult", "run"]
