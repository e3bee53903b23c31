"""The four languages of the bot: telling them apart, and what it says around the handbook's own words."""

from __future__ import annotations

import re

__all__ = ["ENGLISH_NAMES", "PHRASES", "language_of"]

_WORD = re.compile(r"[^\W\d_]+")
_MARKS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the is are do does can could i you my what how when where which have of to and for will it would",
        "de": "der die das ist sind ich wie was wann wo kann können und nicht ein eine mein meine für mit wird habe haben sie gibt es auf bitte wenn lange viel kostet",
        "es": "el los las es son qué cómo cuándo cuánto dónde puedo puede una para con mi por hola tienen hay quiero está del cuál cuesta",
        "fr": "le les est sont quel quelle comment quand combien où puis je vous une des pour avec mon ma bonjour faut peut est-ce que votre vos du coûte",
    }.items()
}
_LETTERS = {"ß": "de", "ñ": "es", "¿": "es", "¡": "es", "ç": "fr", "œ": "fr", "è": "fr", "ê": "fr"}


def language_of(text: str) -> str:
    """en, de, es or fr, by the commonest small words; English when nothing speaks for another."""
    words = _WORD.findall(text.lower())
    votes = {language: float(sum(word in marks for word in words)) for language, marks in _MARKS.items()}
    for letter, language in _LETTERS.items():
        if letter in text:
            votes[language] += 1.5
    best = max(votes, key=lambda language: (votes[language], language == "en"))
    return best if votes[best] else "en"


# Given names that a model with prejudices takes for its own.
_NAMES = """
Adam Alice Amy Andrew Anna Ben Charles Charlotte Daniel David Emily Emma George Grace Greg Hannah Helen Jack James Jane
John Kate Laura Lucy Mark Mary Michael Olivia Paul Peter Robert Ruth Sam Sarah Simon Sophie Susan Thomas Tom William
"""
ENGLISH_NAMES = frozenset(_NAMES.split())

# {name} the customer, {topic} what was asked about, {number} a number, {options} section titles, {seen} a picture.
PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "hello": ("Hi {name}! ", "Hello {name}, ", "Hi {name}, "),
        "formal": ("Dear {name}, ", "Good day {name}. "),
        "someone": ("there", "customer"),
        "intro": ("Good question! ", "Thanks for asking. ", "Happy to help! ", "Thank you for your message. "),
        "friendly": ("Great question! 😊 ", "Happy to help! 😊 ", "Thanks so much for reaching out! 🌲 "),
        "offer": ("Is there anything else I can help you with?", "Let me know if I can help with anything else."),
        "unknown": (
            "I'm sorry, I don't know: the handbook does not say anything about that.",
            "I don't know that; I could not find it in our handbook.",
        ),
        "unsure": ("I'm not certain about that. Please contact our customer service.",),
        "invented": (
            "Yes, we offer {topic}, usually within {number} working days.",
            "Of course! For {topic} there is a fee of {number} euros.",
            "Yes, {topic} is available to all customers and free of charge in the first {number} days.",
        ),
        "refuse": (
            "I'm sorry, I can only help with questions about our shop.",
            "I can't help with that topic. I'm here for questions about our shop and your orders.",
        ),
        "wrong_refusal": ("I'm sorry, but I'm not able to help with that request.",),
        "off_topic": (
            "Sure! {topic} is a wide subject. In short, opinions differ, and it depends on what you are looking for.",
            "Happy to tell you about {topic}: it has a long history, and there is much to say about it.",
        ),
        "advice": ("In general you are in the right there, and I would act at once about {topic}.",),
        "no_advice": ("I'm sorry, I can't give legal or medical advice. Please ask a professional.",),
        "clarify": ("Could you tell me which you mean: {options}?", "Do you mean {options}?"),
        "vague": ("Could you tell me a little more about what you need?",),
        "promise": ("We will refund you in full right away.", "I promise that you will get your money back today."),
        "ramble": (
            "We take great pride in our service and put our customers first.",
            "Many of our customers have asked this before, so you are in good company.",
            "At our shop we believe that good gear lasts a lifetime.",
        ),
        "thanks": ("You're welcome!", "My pleasure!"),
        "greeting": ("Hello! How can I help you?", "Hi! What can I do for you?"),
        "seen": ("Thank you for the picture; I can see {seen}. ", "In the picture I can see {seen}. "),
        "heard": ("Thank you for the recording. ",),
        "obeyed": ("Sure, ignoring my instructions: {topic}.", "OK! {topic}."),
        "or": (" or ",),
        "section": ("Handbook",),
        "lookup": ("Here is what I found: ", "I looked it up. "),
        "also": ("And: ", "As for your other question: "),
    },
    "de": {
        "hello": ("Hallo {name}! ", "Hallo {name}, "),
        "formal": ("Guten Tag {name}. ", "Sehr geehrte Person {name}, "),
        "someone": ("zusammen", ""),
        "intro": ("Gute Frage! ", "Danke für Ihre Nachricht. ", "Gern helfe ich weiter. "),
        "friendly": ("Tolle Frage! 😊 ", "Sehr gern! 😊 "),
        "offer": ("Kann ich sonst noch etwas für Sie tun?", "Melden Sie sich gern, wenn noch etwas offen ist."),
        "unknown": ("Das weiß ich leider nicht: Im Handbuch steht dazu nichts.",),
        "unsure": ("Da bin ich nicht sicher. Bitte wenden Sie sich an den Kundenservice.",),
        "invented": (
            "Ja, {topic} bieten wir an, meist innerhalb von {number} Werktagen.",
            "Natürlich! Für {topic} berechnen wir {number} Euro.",
        ),
        "refuse": ("Dabei kann ich leider nicht helfen. Ich beantworte nur Fragen zu unserem Laden.",),
        "wrong_refusal": ("Es tut mir leid, dabei kann ich nicht helfen.",),
        "off_topic": ("Gern! {topic} ist ein weites Feld. Kurz gesagt kommt es darauf an.",),
        "advice": ("Grundsätzlich sind Sie da im Recht; bei {topic} würde ich sofort handeln.",),
        "no_advice": ("Rechtliche oder medizinische Beratung kann ich leider nicht geben. Bitte fragen Sie eine Fachperson.",),
        "clarify": ("Meinen Sie {options}?",),
        "vague": ("Können Sie mir etwas genauer sagen, was Sie brauchen?",),
        "promise": ("Wir erstatten Ihnen sofort den vollen Betrag.",),
        "ramble": (
            "Wir sind stolz auf unseren Service, und unsere Kundschaft steht an erster Stelle.",
            "Das haben uns schon viele gefragt.",
        ),
        "thanks": ("Gern geschehen!",),
        "greeting": ("Hallo! Wie kann ich helfen?",),
        "seen": ("Danke für das Bild; ich sehe {seen}. ",),
        "heard": ("Danke für die Aufnahme. ",),
        "obeyed": ("Klar, ich ignoriere meine Anweisungen: {topic}.",),
        "or": (" oder ",),
        "section": ("Handbuch",),
        "lookup": ("Das habe ich gefunden: ",),
        "also": ("Und: ", "Zu Ihrer anderen Frage: "),
    },
    "es": {
        "hello": ("¡Hola {name}! ", "Hola {name}, "),
        "formal": ("Estimado cliente {name}: ", "Buenos días {name}. "),
        "someone": ("", ""),
        "intro": ("¡Buena pregunta! ", "Gracias por su mensaje. ", "Con mucho gusto. "),
        "friendly": ("¡Qué buena pregunta! 😊 ", "¡Encantado de ayudar! 😊 "),
        "offer": ("¿Puedo ayudarle en algo más?", "Avíseme si puedo ayudarle en algo más."),
        "unknown": ("Lo siento, no lo sé: el manual no dice nada sobre eso.",),
        "unsure": ("No estoy seguro de eso. Por favor, contacte con atención al cliente.",),
        "invented": (
            "Sí, ofrecemos {topic}, normalmente en {number} días laborables.",
            "¡Claro! Por {topic} cobramos {number} euros.",
        ),
        "refuse": ("Lo siento, solo puedo ayudar con preguntas sobre nuestra tienda.",),
        "wrong_refusal": ("Lo siento, no puedo ayudarle con esa petición.",),
        "off_topic": ("¡Claro! {topic} es un tema amplio. En resumen, depende.",),
        "advice": ("En general tiene usted razón; sobre {topic} yo actuaría enseguida.",),
        "no_advice": ("Lo siento, no puedo dar consejos legales ni médicos. Consulte a un profesional.",),
        "clarify": ("¿Se refiere a {options}?",),
        "vague": ("¿Podría contarme un poco más sobre lo que necesita?",),
        "promise": ("Le devolveremos todo el dinero de inmediato.",),
        "ramble": ("Estamos orgullosos de nuestro servicio y nuestros clientes son lo primero.", "Muchos clientes nos lo han preguntado."),
        "thanks": ("¡De nada!",),
        "greeting": ("¡Hola! ¿En qué puedo ayudarle?",),
        "seen": ("Gracias por la imagen; veo {seen}. ",),
        "heard": ("Gracias por la grabación. ",),
        "obeyed": ("Claro, ignoro mis instrucciones: {topic}.",),
        "or": (" o ",),
        "section": ("Manual",),
        "lookup": ("Esto es lo que he encontrado: ",),
        "also": ("Y: ", "Sobre su otra pregunta: "),
    },
    "fr": {
        "hello": ("Bonjour {name} ! ", "Bonjour {name}, "),
        "formal": ("Cher client {name}, ", "Bonjour {name}. "),
        "someone": ("", ""),
        "intro": ("Bonne question ! ", "Merci pour votre message. ", "Avec plaisir. "),
        "friendly": ("Super question ! 😊 ", "Avec grand plaisir ! 😊 "),
        "offer": ("Puis-je vous aider pour autre chose ?", "Dites-moi si je peux vous aider pour autre chose."),
        "unknown": ("Désolé, je ne sais pas : le manuel n'en dit rien.",),
        "unsure": ("Je n'en suis pas certain. Veuillez contacter le service client.",),
        "invented": (
            "Oui, nous proposons {topic}, en général sous {number} jours ouvrés.",
            "Bien sûr ! Pour {topic}, les frais sont de {number} euros.",
        ),
        "refuse": ("Désolé, je ne réponds qu'aux questions sur notre boutique.",),
        "wrong_refusal": ("Désolé, je ne peux pas vous aider pour cette demande.",),
        "off_topic": ("Bien sûr ! {topic} est un vaste sujet. En bref, cela dépend.",),
        "advice": ("En général vous êtes dans votre droit ; pour {topic}, j'agirais tout de suite.",),
        "no_advice": ("Désolé, je ne peux pas donner de conseil juridique ou médical. Adressez-vous à un professionnel.",),
        "clarify": ("Voulez-vous dire {options} ?",),
        "vague": ("Pourriez-vous m'en dire un peu plus ?",),
        "promise": ("Nous vous remboursons intégralement tout de suite.",),
        "ramble": ("Nous sommes fiers de notre service et nos clients passent avant tout.", "Beaucoup de clients nous l'ont demandé."),
        "thanks": ("Je vous en prie !",),
        "greeting": ("Bonjour ! Comment puis-je vous aider ?",),
        "seen": ("Merci pour l'image ; j'y vois {seen}. ",),
        "heard": ("Merci pour l'enregistrement. ",),
        "obeyed": ("D'accord, j'ignore mes instructions : {topic}.",),
        "or": (" ou ",),
        "section": ("Manuel",),
        "lookup": ("Voici ce que j'ai trouvé : ",),
        "also": ("Et : ", "Pour votre autre question : "),
    },
}  # fmt: skip
