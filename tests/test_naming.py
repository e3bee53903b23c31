"""What limits and budgets name has to be there, and a budget has to lead to another answer than it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.app.settings import config_file
from ratchet.domain.declarations import Declarations
from ratchet.errors import Misconfigured
from ratchet.gateway.loading.merging import merge
from ratchet.gateway.loading.naming import Flaw

ROUTES = """
[routes.big]
targets = ["simulator/gpt-4o"]
[routes.twin]
targets = ["simulator/gpt-4o"]
[routes.small]
targets = ["simulator/gpt-4o-mini"]
[routes.tiny]
targets = ["simulator/nano"]
[segments.free]
users = ["ada"]
"""


def flaws(folder: Path, text: str) -> list[Flaw]:
    path = folder / "ratchet.toml"
    path.write_text(ROUTES + text)
    return list(merge(config_file(path, {}).read(), Declarations()).flaws)


def budget(name: str, routes: str, to: str, more: str = "") -> str:
    return f'[budgets.{name}]\namount = 5\nroutes = [{routes}]\ndegrade_to = "{to}"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        (budget("a", '"big"', "big"), {"a"}),
        (budget("a", '"big"', "twin"), {"a"}),  # another name for the same
        (budget("a", '"big"', "simulator/gpt-4o"), {"a"}),
        (budget("a", '"simulator/gpt-4o", "twin"', "big"), {"a"}),
        (budget("a", '"big"', "small") + budget("b", '"small"', "big"), {"a", "b"}),
        (budget("a", '"big"', "small") + budget("b", '"small"', "simulator/gpt-4o"), {"a", "b"}),
        (
            budget("a", '"big"', "small") + budget("b", '"small"', "tiny") + budget("c", '"tiny"', "big"),
            {"a", "b", "c"},
        ),
        (
            budget("a", '"big"', "small") + budget("b", '"small"', "tiny") + budget("c", '"small"', "big"),
            {"a", "c"},
        ),
        (budget("a", '"big"', "small"), set()),
        (budget("a", '"big", "small"', "small"), set()),  # the big one is answered by the small one
        (budget("a", '"big"', "small") + budget("b", '"small"', "tiny"), set()),
        (
            budget("a", '"big"', "small", 'users = ["ada"]')
            + budget("b", '"small"', "big", 'users = ["bob"]'),
            set(),
        ),
        (
            '[budgets.a]\namount = 5\ndegrade_to = "small"\n[budgets.b]\namount = 50\ndegrade_to = "tiny"\n',
            set(),
        ),
    ],
)
def test_a_budget_that_leads_back_to_itself_is_refused(tmp_path: Path, text: str, blamed: set[str]) -> None:
    found = flaws(tmp_path, text)
    assert {flaw.name for flaw in found} == blamed
    for flaw in found:
        assert (flaw.kind, flaw.key) == ("budget", "degrade_to")
        assert f"budgets.{flaw.name}.degrade_to leads back" in flaw.message
        assert "leave degrade_to out" in flaw.remedy


def test_the_way_back_is_named(tmp_path: Path) -> None:
    text = budget("a", '"big"', "small") + budget("b", '"small"', "tiny") + budget("c", '"tiny"', "big")
    (message,) = [flaw.message for flaw in flaws(tmp_path, text) if flaw.name == "a"]
    assert "through the budget 'b' and the budget 'c'" in message


@pytest.mark.parametrize("kind", ["limits.x", "budgets.x"])
def test_routes_and_segments_that_nobody_has_declared_are_named(tmp_path: Path, kind: str) -> None:
    amount = 'requests = "5/minute"' if kind == "limits.x" else "amount = 5"
    (found,) = flaws(tmp_path, f'[{kind}]\n{amount}\nroutes = ["big", "nope", "simulator/any"]\n')
    assert f"{kind}.routes names 'nope', which is neither a route nor a provider's model" in found.message
    assert "big, small, tiny, twin" in found.remedy
    assert found.key == "routes"
    (found,) = flaws(tmp_path, f'[{kind}]\n{amount}\nroutes = ["nobody/model"]\n')
    assert "'nobody/model'" in found.message
    (found,) = flaws(tmp_path, f'[{kind}]\n{amount}\nsegments = ["default", "free", "nope"]\n')
    assert f"{kind}.segments names the segment 'nope', which is not declared" in found.message
    assert "default, free" in found.remedy
    assert found.key == "segments"


@pytest.mark.parametrize("field", ["keys", "users", "organisations", "ips", "routes", "segments"])
def test_an_empty_list_is_refused(tmp_path: Path, field: str) -> None:
    with pytest.raises(Misconfigured, match=rf"limits\.x\.{field} is \[\]: expected at least 1 entry"):
        flaws(tmp_path, f'[limits.x]\nrequests = "5/minute"\n{field} = []\n')


def test_networks_are_checked_and_a_queue_needs_something_to_wait_for(tmp_path: Path) -> None:
    with pytest.raises(
        Misconfigured, match=r"limits\.x\.ips\.0 is '300\.1\.1\.1': expected an address or a network"
    ):
        flaws(tmp_path, '[limits.x]\nrequests = "5/minute"\nips = ["300.1.1.1"]\n')
    assert flaws(tmp_path, '[limits.x]\nrequests = "5/minute"\nips = ["10.0.0.0/8", "2001:db8::1"]\n') == []
    provider = '[providers.p]\nkind = "openai"\nqueue = 5\n'
    with pytest.raises(Misconfigured, match="queue needs max_concurrency"):
        flaws(tmp_path, provider)
    assert flaws(tmp_path, provider + "max_concurrency = 2\n") == []
