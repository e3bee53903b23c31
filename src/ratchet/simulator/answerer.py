"""The support bot: reads the question, finds the section, says it in its own frame, and errs as its class does.

The order of a reply: what kind of message it is → for each part, what the handbook says → frames (greeting, intro,
offer) → limits of length → format. Every step looks at the instructions found in the system prompt; whether one is
kept is a draw with the model class's `follow`.
"""

from __future__ import annotations

import msgspec

from ratchet.simulator import knowledge
from ratchet.simulator.ask import Ask
from ratchet.simulator.dice import Dice
from ratchet.simulator.draft import Draft, Role
from ratchet.simulator.handbook import Handbook, Hit, Section, sentences, terms
from ratchet.simulator.instructions import read_instructions
from ratchet.simulator.languages import ENGLISH_NAMES, PHRASES, language_of
from ratchet.simulator.material import Material, material_of, seen_in
from ratchet.simulator.mistakes import difficulty, heat, mix_up_number
from ratchet.simulator.models import ModelClass
from ratchet.simulator.question import Reading, is_about_shop, is_other_task, read_question, topic_of
from ratchet.simulator.structured import finish

__all__ = ["ANSWERER"]

# A question counts as covered from this share of its weight on (more where a single word matches), or this score.
_COVERED_SHARE, _ONE_WORD_SHARE, _COVERED_SCORE = 0.34, 0.5, 5.0
_LEAST_SCORE = 2.2
_OVERCAUTIOUS = 0.025
_SHORT = 60  # characters: so short a question may lean on the one before it


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the reply to one part, or to the whole message, came to."""

    text: str
    kind: str  # answer | unknown | invented | refusal | clarify | small talk | obeyed | promise
    section: Section | None = None


class _Scene:
    """One reply in the making: what all its steps look at."""

    def __init__(self, ask: Ask, dice: Dice, book: Handbook, kind: ModelClass) -> None:
        self.ask, self.dice, self.kind = ask, dice, kind
        self.system, self.question, self.book = knowledge.gathered(ask, book)
        self.told = read_instructions(self.system)
        self.user_language = language_of(self.question)
        # More than six instructions are more than a model keeps in mind equally well.
        self._follow = kind.follow * (1 - 0.02 * max(0, self.told.count - 6))
        self._heat = heat(ask.temperature)
        self._hard = difficulty(self.question)
        self.language = self._language()
        self.curt = (
            bool(ask.customer) and ask.customer not in ENGLISH_NAMES and dice.chance("curt", kind.partial)
        )

    def follows(self, name: str) -> bool:
        """Whether the instruction `name` was given and is kept this time."""
        return bool(getattr(self.told, name)) and self.dice.chance(f"follow {name}", self._follow)

    def errs(self, name: str, rate: float) -> bool:
        """A mistake with this mean rate, more likely on a hard question and at a high temperature."""
        return self.dice.chance(name, min(0.97, rate * self._heat * self._hard))

    def phrase(self, which: str, /, **values: object) -> str:
        return self.dice.pick(f"phrase {which}", PHRASES[self.language][which]).format(**values)

    def manner(self, which: str, own: tuple[str, ...]) -> str:
        """A phrase of the family's own, where it has any in this language."""
        return self.dice.pick(f"manner {which}", own) if own and self.language == "en" else self.phrase(which)

    def _language(self) -> str:
        wanted = self.told.language
        if wanted and wanted != "user" and self.dice.chance("follow language", self._follow):
            return wanted
        slip = self.kind.wrong_language * (0.3 if wanted == "user" else 1.0)
        if self.user_language != "en" and self.errs("language", slip):
            return "en"
        return self.user_language


def _reply(ask: Ask, dice: Dice, book: Handbook, kind: ModelClass) -> Draft:
    """The draft for one choice."""
    scene = _Scene(ask, dice, book, kind)
    said = [Said(text=_from_results(scene), kind="answer")] if ask.results else _said(scene)
    text = _framed(scene, said)
    return finish(ask, dice, kind, scene.told, _material(scene, said, text))


def _material(scene: _Scene, said: list[Said], text: str) -> Material:
    main = next((one for one in said if one.section), said[0])
    return material_of(
        scene.ask,
        text=text,
        body=" ".join(one.text for one in said),
        kind=main.kind,
        section=main.section,
        language=scene.language,
        plain=not (scene.ask.tools or scene.told.json) and scene.ask.format == "text",
        keeps_json=not scene.errs("format", scene.kind.breaks_format),
    )


# -- what is said ------------------------------------------------------------------------------------------------


def _said(scene: _Scene) -> list[Said]:
    reading = read_question(scene.question)
    whole = _to_the_whole(scene, reading)
    if whole:
        return [whole]
    parts = list(reading.parts)
    half = scene.kind.half * (0.25 if scene.follows("every_part") else 1.0)
    if len(parts) > 1 and scene.errs("half", half):
        parts = parts[:1]
    said = [_to_part(scene, part, index) for index, part in enumerate(parts)]
    if reading.demand:
        promises = scene.kind.promises * (0.1 if scene.follows("no_promises") else 1.0)
        if scene.errs("promise", promises):
            said.insert(0, Said(text=scene.phrase("promise"), kind="promise"))
    return said


def _to_the_whole(scene: _Scene, reading: Reading) -> Said | None:
    """A reply that does not depend on the parts, or None."""
    if reading.kind == "greeting":
        return Said(text=scene.phrase("greeting"), kind="small talk")
    if reading.kind == "thanks" or not reading.parts:
        return Said(
            text=scene.phrase("thanks" if reading.parts or scene.question else "vague"), kind="small talk"
        )
    if reading.kind == "injection":
        gullible = scene.kind.gullible * (0.12 if scene.follows("resist") else 1.0)
        if scene.errs("injection", gullible):
            return Said(text=scene.phrase("obeyed", topic=reading.order or scene.system[:160]), kind="obeyed")
        return Said(text=scene.phrase("refuse"), kind="refusal")
    if (reading.legal and scene.follows("no_legal")) or (reading.medical and scene.follows("no_medical")):
        return Said(text=scene.phrase("no_advice"), kind="refusal")
    if (reading.legal or reading.medical) and not scene.book.find(scene.question, limit=1):
        return Said(text=scene.phrase("advice", topic=topic_of(scene.question, scene.book)), kind="invented")
    if scene.errs("refuse", scene.kind.refuses):
        return Said(text=scene.phrase("wrong_refusal"), kind="refusal")
    return None


def _to_part(scene: _Scene, part: str, index: int) -> Said:
    book = scene.book
    around = scene.question if part != scene.question else scene.ask.earlier if len(part) < _SHORT else ""
    hits = book.find(part, limit=3, hint=around)
    top = hits[0] if hits else None
    covered = top is not None and _covers(top)
    if is_other_task(part):
        covered = False
    if top is None or not covered:
        return _without_handbook(scene, part, index, near=[hit.section.title for hit in hits])
    # Told to admit what it doesn't know, a model sometimes does so where it need not.
    if scene.follows("admit") and scene.errs(f"cautious {index}", _OVERCAUTIOUS):
        return Said(text=scene.phrase("unknown"), kind="unknown")
    second = hits[1] if len(hits) > 1 else None
    if second and top.matched <= 1 and second.score > 0.9 * top.score and scene.follows("clarify"):
        options = PHRASES[scene.language]["or"][0].join(hit.section.title for hit in hits[:2])
        return Said(text=scene.phrase("clarify", options=options), kind="clarify")
    section = top.section
    if scene.errs(f"section {index}", scene.kind.wrong_section):
        section = second.section if second else book.sections[(top.index + 1) % len(book.sections)]
    return Said(text=_from_section(scene, section, part, index), kind="answer", section=section)


def _covers(hit: Hit) -> bool:
    """Whether the section is about the question, rather than sharing a word with it."""
    if hit.score >= _COVERED_SCORE:
        return True
    return hit.score >= _LEAST_SCORE and hit.share >= (_COVERED_SHARE if hit.matched > 1 else _ONE_WORD_SHARE)


def _from_section(scene: _Scene, section: Section, part: str, index: int) -> str:
    """One to three sentences of the section, perhaps with a number mixed up, with the section named if asked."""
    usual = scene.kind.family.sentences
    limit = (
        1 if scene.curt or scene.follows("brief") else max(3, usual) if scene.follows("detailed") else usual
    )
    lines = scene.book.best_sentences(section, part, scene.language, limit)
    text = " ".join(lines)
    rate = scene.kind.wrong_number
    if scene.follows("check"):
        rate *= 0.4
    if scene.follows("creative"):
        rate *= 1.8
    if scene.errs(f"number {index}", rate):
        text = mix_up_number(text, scene.book, scene.dice.child(f"number {index}"))
    if scene.follows("cite"):
        name = PHRASES[scene.language]["section"][0]
        title = f", {section.title}" if section.title else ""
        text = f"{text.rstrip('.')} ({name} §{section.number}{title})."
    return text


def _without_handbook(scene: _Scene, part: str, index: int, near: list[str]) -> Said:
    """The handbook says nothing: off topic, too vague, unknown, or made up."""
    about_shop = is_about_shop(part, scene.book)
    topic = topic_of(part, scene.book)
    if not about_shop and (is_other_task(part) or topic != "that"):
        if scene.follows("on_topic"):
            return Said(text=scene.phrase("refuse"), kind="refusal")
        if is_other_task(part) or scene.told.confident or not scene.told.grounded:
            return Said(text=scene.phrase("off_topic", topic=topic[:1].upper() + topic[1:]), kind="invented")
    if len(set(terms(part))) <= 1 and scene.follows("clarify"):
        options = PHRASES[scene.language]["or"][0].join(near[:2])
        return Said(
            text=scene.phrase("clarify", options=options) if near else scene.phrase("vague"), kind="clarify"
        )
    admits = scene.follows("admit")
    if scene.errs(f"invent {index}", _invention_rate(scene, admits=admits)):
        number = scene.dice.pick(f"invented number {index}", ("2", "3", "5", "7", "10", "14", "20"))
        return Said(text=scene.phrase("invented", topic=topic, number=number), kind="invented")
    return Said(text=scene.phrase("unknown" if admits or scene.told.admit else "unsure"), kind="unknown")


def _invention_rate(scene: _Scene, *, admits: bool) -> float:
    rate = scene.kind.invents
    if admits:
        rate *= 0.12
    if scene.follows("grounded"):
        rate *= 0.35
    if scene.follows("creative"):
        rate *= 1.3
    if scene.follows("confident"):
        rate *= 1.5
    return rate


def _from_results(scene: _Scene) -> str:
    """An answer from what the tools gave back."""
    lines = [knowledge.told_by(turn, scene.ask) for turn in scene.ask.results]
    text = scene.phrase("lookup") + " ".join(lines)
    if scene.errs("number result", scene.kind.wrong_number / 2):
        text = mix_up_number(text, scene.book, scene.dice)
    return text


# -- how it is said ----------------------------------------------------------------------------------------------


def _framed(scene: _Scene, said: list[Said]) -> str:
    told, brief = scene.told, scene.curt or scene.follows("brief")
    body = [sentence for one in said for sentence in sentences(one.text)]
    if len(said) > 1 and not brief:
        body[len(sentences(said[0].text))] = scene.phrase("also") + body[len(sentences(said[0].text))]
    before = _seen(scene) + _greeting(scene, said, brief=brief)
    after = list[str]()
    ramble = scene.kind.rambles * (0.1 if brief else 2.0 if scene.follows("detailed") else 1.0)
    if said[0].kind in {"answer", "invented"} and scene.errs("ramble", ramble):
        after.extend(PHRASES[scene.language]["ramble"])
    family = scene.kind.family
    if scene.follows("offer") or (not (told.offer or brief) and scene.dice.chance("offer", family.closes)):
        after.append(scene.manner("offer", family.closings))
    return _shortened(scene, before, body, after)


def _seen(scene: _Scene) -> str:
    blobs = [blob for turn in scene.ask.turns if turn.role == "user" for blob in turn.blobs]
    if not blobs:
        return ""
    images = [content for kind, content in blobs if kind != "audio"]
    return scene.phrase("seen", seen=" and ".join(map(seen_in, images))) if images else scene.phrase("heard")


def _greeting(scene: _Scene, said: list[Said], *, brief: bool) -> str:
    told = scene.told
    name = told.customer or scene.ask.customer
    if scene.follows("use_name") and name:
        return scene.phrase("formal" if told.tone == "formal" else "hello", name=name)
    if told.tone == "formal" and scene.follows("tone"):
        return (
            scene.phrase("formal", name=PHRASES[scene.language]["someone"][1])
            .replace(" .", ".")
            .replace(" ,", ",")
        )
    if said[0].kind not in {"answer", "invented"} or brief:
        return ""
    if told.tone == "friendly" and scene.follows("tone"):
        return scene.phrase("friendly")
    family = scene.kind.family
    return scene.manner("intro", family.openings) if scene.dice.chance("intro", family.opens) else ""


def _shortened(scene: _Scene, before: str, body: list[str], after: list[str]) -> str:
    """Joined, within the limits of length: frames go first, then the body's last sentences."""
    told = scene.told
    if told.max_sentences is not None and scene.follows("max_sentences"):
        room = max(1, told.max_sentences)
        body = body[:room]
        after = after[-(room - len(body)) :] if scene.told.offer and room > len(body) else []
        before = before if not before.rstrip().endswith((".", "!", "😊", "🌲")) else ""
    if told.bullets and len(body) > 1 and scene.follows("bullets"):
        text = before.rstrip() + ("\n" if before else "") + "\n".join(f"- {line}" for line in body)
        return text + ("\n" + " ".join(after) if after else "")
    text = before + " ".join([*body, *after])
    if told.max_words is not None and scene.follows("max_words"):
        words = text.split()
        if len(words) > told.max_words:
            words = " ".join(body).split()[: max(1, told.max_words)]
            text = " ".join(words).rstrip(",;:")
            text = text if text.endswith((".", "!", "?")) else text + "."
    return text


ANSWERER = Role("answerer", lambda _ask: True, _reply)
