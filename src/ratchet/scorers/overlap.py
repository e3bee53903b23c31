"""How much of the reference's wording is in the answer: BLEU, chrF, ROUGE.

Runs are counted here, in a third of the time; BLEU's tokenizers and formula are sacrebleu's, and ROUGE's tokens
rouge-score's. The values are theirs to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

from rapidfuzz.distance import LCSseq
from rouge_score import tokenize as rouge_tokens
from sacrebleu.metrics.bleu import BLEU

from ratchet.domain.cases import UNSCORED, Case, Output, Verdict
from ratchet.scorers.function import Result, Unscored
from ratchet.scorers.loading import load
from ratchet.scorers.reading import reference_texts
from ratchet.scorers.runs import character_codes, shared_runs, word_codes
from ratchet.scorers.scorer import Tally
from ratchet.scorers.settings import PlainSettings, TallyingSettings

__all__ = ["Bleu", "Chrf", "Rouge"]

_JOINING = ("-\n", "<skipped>")  # what 13a takes out, so that the words around it become one
_STATISTICS = "statistics"  # the attribute that a verdict carries for the corpus's figure


def _verdict(value: float, statistics: Sequence[int]) -> Verdict:
    return Verdict(name="", value=value, attributes={_STATISTICS: " ".join(map(str, statistics))})


def _tallied(name: str, verdicts: Sequence[Verdict], value: Callable[[list[int]], float]) -> Tally:
    """The figure of the verdicts' statistics, summed."""
    rows = [row for verdict in verdicts if (row := verdict.attributes.get(_STATISTICS))]
    numbers = [[int(each) for each in row.split()] for row in rows]
    sums = [sum(column) for column in zip(*numbers, strict=True)]
    return Tally(len(rows), len(verdicts) - len(rows), {name: value(sums) if sums else UNSCORED})


def _runs_in(length: int, size: int) -> int:
    return max(0, length - size + 1)


@lru_cache(maxsize=8)
def _tokenizer(kind: str) -> Any:
    return BLEU(tokenize=kind).tokenizer


@lru_cache(maxsize=100_000)
def _word_13a(word: str) -> list[str]:
    """No rule of 13a looks beyond a space, but those of _JOINING. So any other text's tokens are those of its words,
    which are few enough to be remembered: that is five times as quick."""
    return _tokenizer("13a")(word).split()


class Bleu(TallyingSettings, frozen=True):
    """BLEU of the answer (Papineni et al. 2002; sentence level with effective order and exponential smoothing), 0–100.

    The tally is corpus BLEU, as sacrebleu computes it with the same settings.
    """

    tokenize: Literal["13a", "char", "intl", "zh", "none"] = "13a"
    lowercase: bool = False

    def score(self, case: Case, output: Output) -> Result:
        made, *wanted = (self._tokens(text) for text in (output.text, *reference_texts(case)))
        codes, *others = word_codes([made, *wanted])
        nearest = min(map(len, wanted), key=lambda length: (abs(length - len(made)), length))
        correct = [shared.any for shared in shared_runs(codes, others, 4)]
        total = [_runs_in(len(made), size) for size in range(1, 5)]
        statistics = [len(made), nearest, *correct, *total]
        return _verdict(self._value(statistics, sentence=True), statistics)

    def tally(self, verdicts: Sequence[Verdict]) -> Tally:
        return _tallied("corpus_bleu", verdicts, partial(self._value, sentence=False))

    def _tokens(self, text: str) -> list[str]:
        text = text.lower() if self.lowercase else text
        if self.tokenize == "13a" and not any(each in text for each in _JOINING):
            return [token for word in text.split() for token in _word_13a(word)]
        return _tokenizer(self.tokenize)(text.rstrip()).split()

    @staticmethod
    def _value(statistics: Sequence[int], *, sentence: bool) -> float:
        found = BLEU.compute_bleu(
            correct=list(statistics[2:6]),
            total=list(statistics[6:]),
            sys_len=statistics[0],
            ref_len=statistics[1],
            smooth_method="exp",
            effective_order=sentence,
        )
        return min(100.0, found.score)  # its logarithms and powers end a little above


_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class Chrf(TallyingSettings, frozen=True):
    """chrF of the answer (Popović 2015): the F-score of runs of 1 to 6 characters, recall weighing double, 0–100.

    With `words: 2` it is chrF++ (Popović 2017). Of several references the best counts. The tally is corpus chrF.
    """

    words: Literal[0, 1, 2] = 0
    lowercase: bool = False

    def score(self, case: Case, output: Output) -> Result:
        texts = [self._plain(text) for text in (output.text, *reference_texts(case))]
        tables = self._counts(["".join(text.split()) for text in texts], character_codes, 6)
        if self.words:
            split = [_words_without_punctuation(text) for text in texts]
            words = self._counts(split, word_codes, self.words)
            tables = [one + other for one, other in zip(tables, words, strict=True)]
        values = [self._value(each) for each in tables]
        best = max(range(len(values)), key=values.__getitem__)
        return _verdict(values[best], tables[best])

    def tally(self, verdicts: Sequence[Verdict]) -> Tally:
        return _tallied("corpus_chrf", verdicts, self._value)

    def _plain(self, text: str) -> str:
        return text.lower() if self.lowercase else text

    @staticmethod
    def _counts(texts: Sequence[Any], codes: Callable[[Any], Any], most: int) -> list[list[int]]:
        """For each reference and size of run: runs in the answer, in the reference, in both."""
        made, *wanted = codes(texts)
        shared = shared_runs(made, wanted, most)
        tables: list[list[int]] = []
        for which, reference in enumerate(wanted):
            row: list[int] = []
            for size in range(1, most + 1):
                there = _runs_in(len(reference), size)
                # sacrebleu counts no runs of an answer where the reference has none
                row += [_runs_in(len(made), size) if there else 0, there, shared[size - 1].each[which]]
            tables.append(row)
        return tables

    @staticmethod
    def _value(statistics: Sequence[int]) -> float:
        """The F-score of mean precision and mean recall over the orders that both texts have runs of."""
        orders = [
            (both / made, both / wanted)
            for made, wanted, both in zip(statistics[::3], statistics[1::3], statistics[2::3], strict=True)
            if made and wanted
        ]
        if not orders:
            return 0.0
        precision = sum(each for each, _ in orders) / len(orders)
        recall = sum(each for _, each in orders) / len(orders)
        found = 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0
        return min(100.0, 100 * found)


def _words_without_punctuation(text: str) -> list[str]:
    """White space separates words; one punctuation mark at a word's end, else at its beginning, is one of its own."""
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in _PUNCTUATION:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in _PUNCTUATION:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words


class _Share(NamedTuple):
    precision: float
    recall: float
    f: float


def _share(both: int, made: int, wanted: int) -> _Share:
    precision, recall = both / max(made, 1), both / max(wanted, 1)
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return _Share(precision, recall, f)


def _runs_shared(
    made: Sequence[str], wanted: Sequence[Sequence[str]], shared: Sequence[int], size: int
) -> list[_Share]:
    return [
        _share(both, _runs_in(len(made), size), _runs_in(len(each), size))
        for each, both in zip(wanted, shared, strict=True)
    ]


class Rouge(PlainSettings, frozen=True):
    """ROUGE of the answer (Lin 2004), 0–1. The main value is ROUGE-L; parts: `rouge1`, `rouge2`.

    `measure` is F, precision or recall. `stem` cuts English endings off. Of several references that with the best F
    counts, for each kind. Only Latin letters without accents and digits are read: others give no tokens.
    """

    measure: Literal["f", "precision", "recall"] = "f"
    stem: bool = False

    def score(self, case: Case, output: Output) -> Result:
        made, *wanted = (self._tokens(text) for text in (output.text, *reference_texts(case)))
        if not any(wanted):
            raise Unscored("the reference has no words that ROUGE reads")
        longest = self._best(_share(LCSseq.similarity(made, each), len(made), len(each)) for each in wanted)
        codes, *others = word_codes([made, *wanted])
        parts = [
            Verdict(name=f".rouge{size}", value=self._best(_runs_shared(made, wanted, shared.each, size)))
            for size, shared in enumerate(shared_runs(codes, others, 2), 1)
        ]
        return [Verdict(name="", value=longest), *parts]

    def _best(self, shares: Iterable[_Share]) -> float:
        return getattr(max(shares, key=lambda each: each.f), self.measure)

    def _tokens(self, text: str) -> list[str]:
        return rouge_tokens.tokenize(text, load("stemming:Stemmer") if self.stem else None)
