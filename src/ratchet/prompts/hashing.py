"""A template's canonical form, and the hash of it: the same content has the same hash, whichever way it came."""

from __future__ import annotations

import hashlib

import msgspec

from ratchet.domain.prompts import Template, TemplateExample, TemplateMessage

__all__ = ["content_hash", "normalised"]

_encode = msgspec.json.Encoder().encode


def content_hash(template: Template) -> str:
    """SHA-256 of the canonical form, in hex.

    The order of parameters says nothing and does not count. The order inside tools and schemas does: models write
    their answers in the order of a schema's properties.
    """
    return hashlib.sha256(_encode(normalised(template))).hexdigest()


def normalised(template: Template) -> Template:
    """With lines ending in \\n alone, as files and browsers don't agree on them, and parameters by name."""
    return Template(
        messages=[
            TemplateMessage(role=each.role, content=_lines(each.content)) for each in template.messages
        ],
        examples=[
            TemplateExample(input=_lines(each.input), output=_lines(each.output))
            for each in template.examples
        ],
        tools=template.tools,
        output_schema=template.output_schema,
        model=template.model.strip(),
        parameters=dict(sorted(template.parameters.items())),
    )


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
