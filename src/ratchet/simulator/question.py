"""What the user wants: the parts of a message, and what kind of message it is."""

from __future__ import annotations

import re

import msgspec

from ratchet.simulator.handbook import Handbook, terms

__all__ = ["Reading", "is_about_shop", "is_other_task", "read_question", "topic_of"]

_I = re.IGNORECASE
_ASKING = (
    r"(?:how|what|when|where|which|who|why|can|could|do|does|is|are|will|may|should|"
    r"wie|was|wann|wo|kann|gibt|ist|sind|welche|"
    r"qué|cómo|cuándo|cuánto|dónde|cuál|puedo|hay|"
    r"quel|quelle|comment|quand|combien|où|puis-je|est-ce)"
)
_JOINED = re.compile(r"(?<=[?.!])\s+|,?\s+(?:and|und|y|et)\s+(?:also\s+)?(?=" + _ASKING + r"\b)", _I)
_GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:morning|evening|day)|hallo|guten tag|hola|buenos días|bonjour|salut)\b[\w\s]{0,16}\W*$",
    _I,
)
_THANKS = re.compile(
    r"^\W*(?:ok(?:ay)?\W+)?(?:thanks?(?: you)?|thx|perfect|great|cheers|danke|vielen dank|gracias|merci)\b[^?]{0,60}$",
    _I,
)
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rules|guidelines|above)\b|"
    r"\b(?:you are now|act as|pretend (?:to be|you are)|developer mode|jailbreak|system prompt|your (?:initial |hidden )?instructions)\b|"
    r"\b(?:ignorier\w*|vergiss)\b.{0,40}\banweisungen\b|\bignora\b.{0,40}\binstrucciones\b|\bignore[zr]?\b.{0,40}\b(?:consignes|instructions)\b",
    _I | re.DOTALL,
)  # fmt: skip
_ORDER_GIVEN = re.compile(
    r"\b(?:say|write|print|output|reply with|tell me|answer with|repeat)\b[:\s]+[\"“']?([^\"”'\n]{2,80})", _I
)
_LEGAL = re.compile(
    r"\b(?:sue|lawyers?|legal(?:ly)?|lawsuit|court|attorney|anwalt|rechtlich|klagen|verklagen|abogado|demandar|avocat|juridique|illegal)\b",
    _I,
)
_MEDICAL = re.compile(
    r"\b(?:doctor|medicines?|medical|rash|allerg\w+|symptoms?|diagnos\w+|pain|pills?|dose|arzt|schmerzen|ausschlag|médico|dolor|médecin|douleur|injur\w+|infect\w+)\b",
    _I,
)
_OTHER_TASK = re.compile(
    r"\b(?:poem|joke|story|song|recipe|weather|president|football|capital of|translate|python|javascript|code|homework|"
    r"stock market|bitcoin|movie|lottery|horoscope|essay|gedicht|witz|wetter|hauptstadt|rezept|poema|chiste|tiempo hará|capital de|"
    r"receta|poème|blague|météo|capitale|recette|who (?:won|is|was)|meaning of life)\b", _I,
)  # fmt: skip
_DEMAND = re.compile(
    r"\b(?:(?:want|need|demand|give me|where is)\b.{0,30}\b(?:refund|money back|my money)|refund me|geld zurück|erstatte\w*|quiero .{0,20}(?:dinero|reembolso)|devuélva\w*|rembours\w+-moi|veux .{0,20}remboursement)\b",
    _I,
)
_SHOP = frozenset(
    terms(
        "order Bestellung pedido commande product Produkt producto produit shop Laden tienda boutique store buy kaufen "
        "comprar acheter sell verkaufen vender vendre price Preis precio prix item Artikel artículo article stock parcel "
        "Paket paquete colis account Konto cuenta compte service offer Angebot deal brand Marke jacket tent boots shoes "
        "stove kayak bicycle bikes parking staff manager job website app checkout basket customer"
    )
)
_MOST_PARTS = 4


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """`kind`: greeting | thanks | injection | question. `order` is what an injection wants said."""

    kind: str
    parts: tuple[str, ...] = ()
    order: str = ""
    legal: bool = False
    medical: bool = False
    demand: bool = False


def read_question(text: str) -> Reading:
    """What `text` is about, without looking anything up."""
    if _INJECTION.search(text):
        order = _ORDER_GIVEN.search(text)
        return Reading(kind="injection", parts=_parts(text), order=order[1].strip() if order else "")
    if _GREETING.match(text):
        return Reading(kind="greeting")
    if _THANKS.match(text):
        return Reading(kind="thanks")
    return Reading(
        kind="question",
        parts=_parts(text),
        legal=bool(_LEGAL.search(text)),
        medical=bool(_MEDICAL.search(text)),
        demand=bool(_DEMAND.search(text)),
    )


def _parts(text: str) -> tuple[str, ...]:
    """The questions in a message; the whole message where its question says too little by itself."""
    text = " ".join(text.split())
    pieces = [piece.strip() for piece in _JOINED.split(text) if piece and piece.strip()]
    asking = [piece for piece in pieces if piece.endswith("?") or re.match(_ASKING + r"\b", piece, _I)]
    telling = tuple(piece for piece in asking if len(terms(piece)) > (1 if len(asking) == 1 else 0))
    if telling:
        return telling[:_MOST_PARTS]
    return (text,) if text else ()


def is_other_task(text: str) -> bool:
    """Whether the text asks for something no shop does."""
    return bool(_OTHER_TASK.search(text))


def is_about_shop(text: str, book: Handbook) -> bool:
    """Whether the text uses a shop's words, whatever the handbook says about them."""
    if _OTHER_TASK.search(text):
        return False
    return any(term in _SHOP or book.knows(term) for term in terms(text))


def topic_of(text: str, book: Handbook) -> str:
    """Two or three words that say what `text` is about, for frames such as "we offer …"."""
    words = re.findall(r"[^\W\d_]{3,}", text)
    kept = [word for word in words if terms(word)]
    ranked = sorted(kept, key=lambda word: -book.rarity(terms(word)[0]))[:2]
    return " ".join(word for word in dict.fromkeys(kept) if word in ranked) or "that"
