"""Who is behind a request: an address has one spelling, however an app writes it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.gateway.caller import caller_of, network_of
from ratchet.gateway.limits.networks import Networks

FORMS = ("{}", " {}", "{}\n", "[{}]", "[{}]:443", '"[{}]:443"', "{}%eth0")
V4_FORMS = ("{}", " {} ", "{}:8080", "::ffff:{}", "[::FFFF:{}]:80", "0:0:0:0:0:ffff:{}")


def read(text: str) -> str:
    return caller_of("ada", {"client_ip": text}).ip


@given(st.ip_addresses(v=4), st.sampled_from(V4_FORMS))
def test_an_ipv4_address_is_read_however_it_is_written(address: IPv4Address, form: str) -> None:
    assert read(form.format(address)) == str(address)


@given(address=st.ip_addresses(v=6), form=st.sampled_from(FORMS), long=st.booleans())
def test_an_ipv6_address_is_read_however_it_is_written(
    *, address: IPv6Address, form: str, long: bool
) -> None:
    expected = str(address.ipv4_mapped or address)
    assert read(form.format(address.exploded.upper() if long else address)) == expected


@given(st.text(max_size=120))
def test_what_is_no_address_is_none(text: str) -> None:
    found = read(text)
    assert found == "" or str(ip_address(found)) == found


@pytest.mark.parametrize(
    "text",
    ["not-an-ip", "203.0.113.077", "203.0.113.7, 10.0.0.1", "203.0.113.7:http", "[2001:db8::1]x", "300.1.1.1",
     "203.0.113.7/24", "1" * 5000, " " * 101 + "10.0.0.1"],
)  # fmt: skip
def test_these_are_none(text: str) -> None:
    assert read(text) == ""


def test_networks_hold_and_meet_addresses() -> None:
    networks = Networks(["203.0.113.0/24", "2001:db8::1", "::ffff:10.0.0.0/104"])
    assert "203.0.113.200" in networks
    assert "2001:db8::1" in networks
    assert "2001:db8::2" not in networks
    assert "10.9.9.9" in networks
    assert "" not in networks
    assert "nobody" not in networks
    assert networks.meets("203.0.0.0/16")
    assert networks.meets("203.0.113.7")
    assert not networks.meets("198.51.100.0/24")
    assert not networks.meets("")
    assert str(network_of("::ffff:203.0.113.7")) == "203.0.113.7/32"
    assert str(network_of("::/0")) == "::/0"
