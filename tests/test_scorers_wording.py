"""BLEU, chrF, ROUGE and METEOR: the first three to 1e-9 what sacrebleu and rouge-score say."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.scorers.meteor import meteor
from ratchet.scorers.registry import make_scorer
from ratchet.scorers.scorer import Tallies, Tools

WORDS = [
    "the",
    "tent",
    "Tents",
    "is",
    "isn't",
    "(green)",
    "1,234.5",
    "running",
    "ran.",
    "ünïcode",
    "漢字",
    "–",
    "a",
    '"b"',
]
PROSE = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
PIECES = [*" .,-\n\t\u00a0&<>;'5a", "é", "&quot;", "<skipped>", "-\n", "1.5", "\u2028"]
TEXTS = PROSE | st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=60)
FEW = settings(max_examples=150, deadline=None)


async def verdicts(spec: Any, text: str, reference: Any) -> dict[str, Verdict]:
    found = await make_scorer(spec, Tools())(Case(id="1", input="q", reference=reference), Output(text=text))
    return {each.name: each for each in found}


@pytest.mark.parametrize("kind", ["13a", "char", "intl", "zh", "none"])
@given(text=TEXTS, references=st.lists(TEXTS, min_size=1, max_size=3), lowercase=st.booleans())
@FEW
async def test_bleu_is_sacrebleus(kind: str, text: str, references: list[str], lowercase: bool) -> None:
    found = await verdicts({"bleu": {"tokenize": kind, "lowercase": lowercase}}, text, references)
    theirs = BLEU(tokenize=kind, lowercase=lowercase, effective_order=True).sentence_score(text, references)
    assert found["bleu"].value == pytest.approx(theirs.score, abs=1e-9)


@given(
    text=TEXTS,
    references=st.lists(TEXTS, min_size=1, max_size=3),
    lowercase=st.booleans(),
    words=st.integers(0, 2),
)
@FEW
async def test_chrf_is_sacrebleus(text: str, references: list[str], lowercase: bool, words: int) -> None:
    found = await verdicts({"chrf": {"words": words, "lowercase": lowercase}}, text, references)
    theirs = CHRF(word_order=words, lowercase=lowercase).sentence_score(text, references)
    assert found["chrf"].value == pytest.approx(theirs.score, abs=1e-9)


@given(data=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=6), words=st.integers(0, 2))
@example(data=[("the the the the", "", "the"), ("-<skipped>\n0", "", "")], words=0)
@FEW
async def test_corpus_figures_are_sacrebleus(data: list[tuple[str, str, str]], words: int) -> None:
    outputs = [text for text, _, _ in data]
    references = [[one for _, one, _ in data], [other for _, _, other in data]]
    for spec, name, theirs in (
        ({"bleu": {}}, "corpus_bleu", BLEU().corpus_score(outputs, references)),
        ({"chrf": {"words": words}}, "corpus_chrf", CHRF(word_order=words).corpus_score(outputs, references)),
    ):
        scorer = make_scorer(spec, Tools())
        assert isinstance(scorer, Tallies)
        found = [
            (await scorer(Case(id="1", input="q", reference=[one, other]), Output(text=text)))[0]
            for text, one, other in data
        ]
        unscored = Verdict(name=scorer.about.name, comment="there is no answer: 500")
        tally = scorer.tally([*found, unscored])
        assert tally.figures[name] == pytest.approx(theirs.score, abs=1e-9)
        assert (tally.scored, tally.unscored) == (len(data), 1)


@given(text=TEXTS, references=st.lists(TEXTS, min_size=1, max_size=3), stem=st.booleans())
@FEW
async def test_rouge_is_rouge_scores(text: str, references: list[str], stem: bool) -> None:
    kinds = {"rouge": "rougeL", "rouge.rouge1": "rouge1", "rouge.rouge2": "rouge2"}
    theirs = RougeScorer(list(kinds.values()), use_stemmer=stem).score_multi(references, text)
    for measure in ("f", "precision", "recall"):
        found = await verdicts({"rouge": {"stem": stem, "measure": measure}}, text, references)
        if any(math.isnan(each.value) for each in found.values()):
            assert all(each.fmeasure == 0 for each in theirs.values())
            assert {each.comment for each in found.values()} == {
                "the reference has no words that ROUGE reads"
            }
            continue
        for ours, name in kinds.items():
            wanted = getattr(theirs[name], "fmeasure" if measure == "f" else measure)
            assert found[ours].value == pytest.approx(wanted, abs=1e-9), (ours, measure)


@pytest.mark.parametrize(
    ("made", "wanted", "value"),
    [
        # P = R = 1 in one chunk of 6: 1 - 0.5/6³
        ("the cat sat on the mat", "the cat sat on the mat", 1 - 0.5 / 216),
        # six words in two chunks: 1 - 0.5·(2/6)³
        ("on the mat sat the cat", "the cat sat on the mat", 1 - 0.5 * (3 / 6) ** 3),
        # P 3/4, R 3/6, Fmean 10·P·R/(R + 9P), one chunk of 3
        ("the cat sat down", "the cat sat on the mat", 10 * 0.375 / (0.5 + 6.75) * (1 - 0.5 / 27)),
        # by stems alone
        ("cats running", "cat runs", 1 - 0.5 / 8),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
    ],
)
def test_meteor_by_hand(made: str, wanted: str, value: float) -> None:
    assert meteor(made.split(), wanted.split()) == pytest.approx(value, abs=1e-12)


@given(
    st.lists(st.sampled_from(["a", "b", "c", "runs", "running"]), max_size=12),
    st.randoms(use_true_random=False),
)
@FEW
def test_meteor_of_the_same_words_loses_only_by_their_order(words: list[str], random: Any) -> None:
    assume(words)
    shuffled = list(words)
    random.shuffle(shuffled)
    same = meteor(words, words)
    assert same == pytest.approx(1 - 0.5 / len(words) ** 3)
    assert 0.5 <= meteor(shuffled, words) <= same


@given(TEXTS, TEXTS)
@FEW
async def test_meteor_is_between_0_and_1(text: str, reference: str) -> None:
    value = (await verdicts("meteor", text, reference))["meteor"].value
    assert math.isnan(value) or 0 <= value <= 1


async def test_of_several_references_the_best_counts() -> None:
    for name in ("chrf", "rouge", "meteor", "edit_distance"):
        both = await verdicts(name, "the green tent", ["a boat", "the green tents"])
        best = await verdicts(name, "the green tent", "the green tents")
        assert both[name].value == best[name].value > 0


def test_no_scorer_loads_what_another_needs() -> None:
    heavy = ["numpy", "sacrebleu", "rouge_score", "nltk", "jsonschema", "wordllama"]
    script = (
        "import sys; from ratchet.scorers.registry import make_scorer, list_scorers;"
        "from ratchet.scorers.scorer import Tools; list_scorers();"
        "make_scorer(sys.argv[1], Tools()); print(*[x for x in sys.argv[2:] if x in sys.modules])"
    )

    def loaded(name: str) -> set[str]:
        command = [sys.executable, "-c", script, name, *heavy]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert loaded("contains") == set()
    assert loaded("json_valid") <= {"jsonschema"}
    assert "nltk" not in loaded("rouge")
    assert "nltk" in loaded("meteor")
