"""A dataset as a shop would have one: from files, from traces, written by a model, divided, with a past."""

from __future__ import annotations

from studio_harness import Studio

from ratchet.datasets.growing import put_cases, split_dataset
from ratchet.datasets.splits import SHARES
from ratchet.demo.questions import QUESTIONS
from ratchet.domain.cases import Case
from ratchet.store.records.datasets import create_dataset, dataset_named

__all__ = ["NAME", "fill_datasets", "sealed_case"]

NAME = "support"


def fill_datasets(studio: Studio) -> None:
    """The dataset `support` in four versions, and one with nothing in it."""

    def put(cases: list[Case], message: str) -> None:
        dataset = dataset_named(studio.records, project_id=studio.project_id, name=NAME)
        now = studio.clock() - 3600 * 10**9
        put_cases(
            studio.records,
            dataset,
            cases,
            keep_duplicates=True,
            author="ada@example.org",
            message=message,
            now=now,
        )

    for name, description in ((NAME, "What shoppers ask, and what the handbook says"), ("empty", "")):
        create_dataset(
            studio.records,
            project_id=studio.project_id,
            name=name,
            description=description,
            now=studio.clock() - 86_400 * 10**9,
            by="ada@example.org",
        )
    asked = [
        Case(
            id=f"q{number}",
            input=one.text,
            reference=", ".join(one.facts) or None,
            tags=[one.language, *(["delivery"] if one.section in "12345" else [])],
            origin="file",
        )
        for number, one in enumerate(QUESTIONS)
    ]
    put(asked, "The first questions")
    put(
        [
            Case(
                id="talk",
                input=[
                    {"role": "system", "content": "You are the assistant of a shop."},
                    {"role": "user", "content": "Hello! Do you have tents?"},
                    {"role": "assistant", "content": "Yes, three kinds."},
                    {"role": "user", "content": "Which one is for winter nights on a glacier?"},
                ],
                reference={"tent": "Polar 2", "in_stock": True},
                previous_answer="All of them.",
                feedback="None of the summer tents is!",
                metadata={"language": "en", "customer": "new"},
                source="session-1",
                trace_id="0af7651916cd43dd8448eb211c80319c",
                origin="feedback",
            ),
            Case(
                id="HumanEval/0 ü?&", input={"product": "stove", "wish": "How do I clean the nozzle of it?"}
            ),
        ],
        "What shoppers were unhappy with",
    )
    dataset = dataset_named(studio.records, project_id=studio.project_id, name=NAME)
    split_dataset(studio.records, dataset, SHARES, author="ada@example.org", now=studio.clock())
    put(
        [
            Case(
                id=f"s{number}",
                input=f"{start} the price of parcels to {place}?",
                reference=f"Parcels to {place} cost {number + 9} euros.",
                context=f"Parcels to {place} cost {number + 9} euros. They take a week.",
                metadata={"evidence": f"Parcels to {place} cost {number + 9} euros."},
                source=f"handbook.md § {place}",
                origin="synthetic",
                accepted=False,
                reference_by="gpt-4o",
            )
            for number, (start, place) in enumerate(
                [
                    ("What is", "Greenland"),
                    ("Could you tell me", "the Faroe Islands"),
                    ("hi, what's", "Malta"),
                ]
            )
        ],
        "3 cases by simulator/gpt-4o",
    )


def sealed_case(studio: Studio) -> str:
    """The id of a sealed one."""
    client = studio.client(next(iter(studio._members.values())))
    return client.get(f"/api/datasets/{NAME}/cases?split=test&limit=1").json()["rows"][0]["id"]
