"""Where a case has no reference, a stronger model may write one. It is marked as such, and a person may replace it."""

from __future__ import annotations

import msgspec

from ratchet.domain.cases import Case
from ratchet.domain.generation import Request
from ratchet.domain.messages import Message, TextPart
from ratchet.errors import UpstreamFailed
from ratchet.scorers.judges.texts import question_text
from ratchet.scorers.scorer import Generate

__all__ = ["write_reference"]

_GROUNDED = (
    "Answer the question from the context alone, completely and exactly, in as few words as that takes. "
    "Where the context does not say, say that you don't know."
)
_FREE = "Answer the question correctly, completely and exactly, in as few words as that takes. If you don't know, say so."


async def write_reference(
    case: Case, generate: Generate, model: str, *, temperature: float | None = 0.0
) -> Case:
    """The case with a reference that `model` wrote, and `reference_by` saying so.

    A case that has a reference comes back as it is. Raises RatchetError where the model can't be asked, UpstreamFailed
    where it answers nothing.
    """
    if case.reference is not None:
        return case
    system = f"{_GROUNDED}\n\nContext:\n{case.context}" if case.context else _FREE
    request = Request(
        dialect="openai_chat",
        model=model,
        messages=[
            Message("system", [TextPart(system)]),
            Message("user", [TextPart(question_text(case.input))]),
        ],
        temperature=temperature,
    )
    answer = await generate(request)
    parts = answer.choices[0].parts if answer.choices else []
    text = "".join(part.content for part in parts if isinstance(part, TextPart)).strip()
    if not text:
        raise UpstreamFailed(
            f"{model} wrote no reference for the case {case.id}.", "Try another model, or write it by hand."
        )
    return msgspec.structs.replace(case, reference=text, reference_by=answer.model or model)
