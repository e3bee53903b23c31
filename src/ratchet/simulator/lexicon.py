"""Words that the search leaves out, words that it takes for the same, and kinds of question."""

from __future__ import annotations

import re

__all__ = ["KINDS", "SAME", "STOP"]

_COMMON = """
a an the and or of to in on at for from by with is are was were be been it its this that these those i you he
she we they me my your our their his her do does did can could will would shall should may might must have has
had not no yes if so as how what when where which who why there here about any some please tell know want need
get got just also too than then up out into over after before all more most much many hi hello thanks thank
am im id ill us them one let make per within say says section handbook customer customers euro euros
der die das den dem des ein eine einen einem einer und oder von zu im in auf für mit ist sind war bei es ich du
sie wir ihr mir mich mein meine meinen ihre ihren kann können könnte werden wird wurde haben hat habe nicht kein
keine wenn wie was wann wo welche welcher wer warum bitte noch nur auch als ab bis um nach vor aus über man gibt
el la los las un una unos unas y o de del al en por para con es son era que qué se su sus mi mis me te nos yo
puedo puede pueden cómo cuándo cuánto cuál dónde quién si no más hay ha he como lo le les este esta
le la les un une des du de et ou à au aux en pour par avec est sont que qui quoi ce cette ces je tu il elle nous
vous ils mon ma mes votre vos notre se sa son ses ne pas plus si comment quand combien quel quelle où peut puis
peux pouvez est-ce y a dans sur
long lange thing things something etwas take takes dauert tarda prend happens work works viele give bekomme bekommt recibo obtengo reçois
"""
STOP = frozenset(_COMMON.split())

# Words that shops and customers use for the same thing. Both sides are cut to a word beginning like any other.
SAME: dict[str, str] = {
    "ship": "delivery", "shipping": "delivery", "shipped": "delivery", "shipment": "delivery", "deliver": "delivery",
    "delivered": "delivery", "delivers": "delivery", "package": "parcel", "packages": "parcel", "guarantee": "warranty",
    "hours": "hours", "overseas": "abroad", "international": "abroad", "exchange": "exchanges", "swap": "exchanges",
    "broken": "damaged", "post": "parcel", "telephone": "phone", "call": "phone", "login": "password",
    "coupon": "voucher", "coupons": "voucher", "promo": "voucher", "fix": "repair", "mend": "repair", "rent": "renting",
    "hire": "renting", "rental": "renting", "track": "tracking", "cancel": "cancelling", "unsubscribe": "newsletter",
    "present": "gift", "instalment": "instalments", "installments": "instalments", "monthly": "instalments",
    "payback": "refunds", "reimbursed": "refunds", "money": "refunds", "erase": "deleting", "delete": "deleting",
    "remove": "deleting", "versand": "lieferung", "versandkosten": "lieferung", "geliefert": "lieferung",
    "porto": "lieferung", "cheaper": "cheaper", "wash": "washing", "bulk": "companies", "pickup": "collect",
    "zurückgeben": "rücksendung", "zurückzugeben": "rücksendung", "rückgabe": "rücksendung", "zurückschicken": "rücksendung",
    "entrega": "envío", "envíos": "envío", "devolver": "devolución", "devoluciones": "devolución",
    "rembourser": "remboursement", "renvoyer": "retour", "retourner": "retour", "expédition": "livraison",
}  # fmt: skip

# What a question asks for, and how a sentence that answers it looks: money and time.
KINDS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (
        re.compile(
            r"\b(?:costs?|price|how much|fee|charge|deposit|amount|worth|kostet|preis|wie viel|cuesta|precio|cuánto|coûte|"
            r"prix|tarif|combien coûte|montant|betrag)\b",
            re.IGNORECASE,
        ),
        re.compile(r"\b(?:euros?|percent|prozent|por ciento|pour cent)\b|free of charge", re.IGNORECASE),
    ),
    (
        re.compile(
            r"\b(?:how long|how many (?:days|hours|months|years|working)|when|how soon|how fast|until|period|deadline|"
            r"wie lange|wie viele tage|wann|bis wann|tarda|cuándo|plazo|cuántos días|combien de (?:temps|jours)|quand|délai|durée)\b",
            re.IGNORECASE,
        ),
        re.compile(
            r"\b(?:days?|hours?|minutes?|weeks?|months?|years?|(?:werk)?tage?n?|stunden?|minuten|wochen|monate?n?|jahre?n?|"
            r"días|horas?|minutos|semanas|meses|años|jours?|heures?|semaines|mois|ans|uhr)\b|\d:\d\d",
            re.IGNORECASE,
        ),
    ),
)
