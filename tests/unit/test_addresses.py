"""Which addresses may be called, however they are spelled and whatever name leads to them."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from mcp_agent_eval.engine.tools.webhooks.addresses import (
    ForbiddenAddress,
    UnknownHost,
    checked_address,
    checked_addresses,
    is_public,
)

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.0",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]

NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%1"],
    "site-local": ["fec0::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "multicast": ["224.0.0.1", "239.1.1.1", "224.0.1.1", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.192", "192.88.99.1", "4000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "shared by a carrier": ["100.64.0.1", "100.100.100.200"],
    "a cloud's own": ["168.63.129.16"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:0"],
    "compatible": ["::127.0.0.1", "::8.8.8.8"],
    "6to4": ["2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::808:808"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:80ff:fffe", "2001::1"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, listed in NOT_PUBLIC.items() for address in listed]
)
def test_no_other_address_is(kind: str, address: str) -> None:
    assert not is_public(address), kind


class Resolver:
    """Stands for the system's resolver. Knows names by their addresses, and keeps what it was asked."""

    def __init__(self, **names: list[str]) -> None:
        self._names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    def getaddrinfo(self, host: str | bytes, port: int, *_: object, **__: object) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [_entry(address, port) for address in self._names[name]]


def _entry(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    made = Resolver(
        open_test=["93.184.216.34", "2606:4700:4700::1111", "93.184.216.34"],
        mixed_test=["93.184.216.34", "10.0.0.1"],
        inside_test=["::1", "127.0.0.1"],
        mapped_test=["::ffff:127.0.0.1"],
    )
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    return made


async def test_a_name_is_looked_up_once_and_leads_to_its_addresses(resolver: Resolver) -> None:
    addresses = await checked_addresses("open.test", 443, allow_private=False)
    assert addresses == ["93.184.216.34", "2606:4700:4700::1111"]
    assert resolver.asked == ["open.test"]
    assert await checked_address("open.test", 443, allow_private=False) == "93.184.216.34"


@pytest.mark.parametrize("name", ["mixed.test", "inside.test", "mapped.test"])
async def test_one_private_address_is_enough_to_refuse_a_name(resolver: Resolver, name: str) -> None:
    with pytest.raises(ForbiddenAddress, match=name) as caught:
        await checked_address(name, 80, allow_private=False)
    assert caught.value.code == "ADDRESS_FORBIDDEN"
    assert caught.value.status == 400
    assert "127.0.0.1" not in caught.value.message


async def test_private_addresses_may_be_allowed(resolver: Resolver) -> None:
    assert await checked_addresses("inside.test", 80, allow_private=True) == ["::1", "127.0.0.1"]


@pytest.mark.parametrize("allow_private", [True, False])
async def test_a_name_that_nobody_has_is_no_address(resolver: Resolver, allow_private: bool) -> None:
    with pytest.raises(UnknownHost, match=r"nobody\.test"):
        await checked_address("nobody.test", 80, allow_private=allow_private)


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "①②⑦.0.0.1",
        "0",
        "::1",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "localhost",
    ],
)
async def test_loopback_is_refused_in_every_spelling(spelling: str) -> None:
    with pytest.raises((ForbiddenAddress, UnknownHost)):  # what a system does not read leads nowhere either
        await checked_address(spelling, 80, allow_private=False)


@pytest.mark.parametrize("spelling", ["134744072", "8.8.2056", "0x8.8.8.8", "8.8.8.8"])
async def test_what_is_checked_is_what_a_spelling_comes_to(spelling: str) -> None:
    assert await checked_address(spelling, 80, allow_private=False) == "8.8.8.8"


@pytest.mark.parametrize("host", ["", "a" * 300, ".", "a..b", "exa mple", "a\x00b", "\ud800", "[::1]"])
async def test_what_can_be_no_name_is_an_unknown_host(host: str) -> None:
    with pytest.raises((ForbiddenAddress, UnknownHost)):
        await checked_address(host, 80, allow_private=False)
