"""Cases as a judge reads them: questions, conversations, references as texts."""

from __future__ import annotations

import json
from typing import Any, cast

from ratchet.domain.cases import Case, Output

__all__ = ["answer_text", "conversation_text", "question_text", "reference_text", "texts_of"]

_SPEAKERS = {
    "system": "System",
    "developer": "System",
    "user": "User",
    "assistant": "Assistant",
    "tool": "Tool",
}


def texts_of(case: Case, output: Output) -> dict[str, str]:
    """Every text that a judge's prompt may ask for; "" where the case has none."""
    return {
        "question": question_text(case.input),
        "answer": answer_text(output),
        "reference": reference_text(case.reference),
        "context": case.context,
        "previous_answer": case.previous_answer,
        "feedback": case.feedback,
        "conversation": conversation_text(case.input, output),
    }


def question_text(asked: Any) -> str:
    """A text as it is, one user message as its text, several as a conversation, variables as lines."""
    if isinstance(asked, str):
        return asked
    if isinstance(asked, list):
        turns = _turns(cast("list[Any]", asked))
        said = [text for speaker, text in turns if speaker != "System"]
        return said[0] if len(said) == 1 else _written(turns)
    if isinstance(asked, dict):
        fields = cast("dict[str, Any]", asked)
        return (
            next(iter(map(_text, fields.values())))
            if len(fields) == 1
            else "\n".join(f"{name}: {_text(value)}" for name, value in fields.items())
        )
    return _text(asked)


def conversation_text(asked: Any, output: Output) -> str:
    """All turns in their order, the output last."""
    turns = _turns(cast("list[Any]", asked)) if isinstance(asked, list) else [("User", question_text(asked))]
    return _written([*turns, ("Assistant", answer_text(output))])


def answer_text(output: Output) -> str:
    """The output's words and what it called."""
    calls = [f"[calls {call.name}({_text(call.arguments)})]" for call in output.tool_calls]
    return "\n".join(part for part in (output.text, *calls) if part)


def reference_text(reference: Any) -> str:
    """A text as it is; several right answers one below the other; anything else as JSON."""
    if reference is None:
        return ""
    if isinstance(reference, list):
        several = cast("list[Any]", reference)
        if all(isinstance(each, str) for each in several):
            return "\n".join(several) if len(several) < 2 else "\n".join(f"- {each}" for each in several)
    return _text(reference)


def _turns(messages: list[Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for message in messages:
        fields = (
            cast("dict[str, Any]", message)
            if isinstance(message, dict)
            else {"role": "user", "content": message}
        )
        found.append((_SPEAKERS.get(str(fields.get("role")), "User"), _content(fields.get("content"))))
    return found


def _content(content: Any) -> str:
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        return "\n".join(
            str(
                cast("dict[str, Any]", part).get("text")
                or f"[{cast('dict[str, Any]', part).get('type', 'part')}]"
            )
            if isinstance(part, dict)
            else str(part)
            for part in parts
        )
    return _text(content)


def _written(turns: list[tuple[str, str]]) -> str:
    return "\n\n".join(f"{speaker}: {text}" for speaker, text in turns)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
