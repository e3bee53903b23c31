"""The studio: web pages and the JSON API over spans, scores and records."""

from __future__ import annotations

from ratchet.studio.application import studio_app
from ratchet.studio.services import RouteView, StudioServices, Visit

__all__ = ["RouteView", "StudioServices", "Visit", "studio_app"]
