"""Prompts: rendering, files, hashes and differences. Pure: texts in, texts out."""

from __future__ import annotations
