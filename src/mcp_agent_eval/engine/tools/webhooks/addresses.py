"""Decides where a request may go: a name is looked up once, and all of its addresses are checked.

Callers must connect to the returned address, not to the name: a second look-up could give another answer, which is
how a public name can be made to lead into a private network.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import anyio

from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.settings import PREFIX

Address = IPv4Address | IPv6Address


class ForbiddenAddress(EvalError):
    """A name that leads to a machine outside the public internet, and may not be called."""

    code = "ADDRESS_FORBIDDEN"
    status = 400


class UnknownHost(EvalError):
    """A name that does not exist."""

    code = "HOST_UNKNOWN"
    status = 400


async def checked_address(host: str, port: int, *, allow_private: bool) -> str:
    """The address to connect to: the first of `checked_addresses`."""
    return (await checked_addresses(host, port, allow_private=allow_private))[0]


async def checked_addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Every address of a host, in the order to try them. A literal address stands for itself, however it is
    written.

    Raises:
        ForbiddenAddress: one of them is not on the public internet, and `allow_private` is false.
        UnknownHost: there is none.
    """
    addresses = await _look_up(host, port)
    if not allow_private and not all(map(is_public, addresses)):
        raise ForbiddenAddress(
            f"{host} leads to an address that is not on the public internet, which may not be called unless "
            f"{PREFIX}ALLOW_PRIVATE_ADDRESSES is set."
        )
    return addresses


async def _look_up(host: str, port: int) -> list[str]:
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        found = []
    if not found:
        raise UnknownHost(f"{host} could not be found: the name has no address.", hint="Check the url.")
    return list(dict.fromkeys(entry[4][0] for entry in found))


def is_public(address: str) -> bool:
    """Whether a looked-up address, and any address embedded in it, is on the public internet."""
    return all(map(_is_public, _meant_by(ip_address(address))))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or not address.is_global
    return not special and not any(address in network for network in _ALSO_NOT_PUBLIC)


def _meant_by(address: Address) -> Iterator[Address]:
    """The address, with any IPv4 addresses embedded in an IPv6 one. Some IPv6 addresses only stand for those."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped or address in _TRANSLATED:
        yield _last_32_bits(address)
    elif address.sixtofour:
        # Newer versions of Python do not count its network as global; older ones do.
        yield address.sixtofour
    else:
        yield address
        yield from address.teredo or ()


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


_GLOBAL_UNICAST = IPv6Network("2000::/3")
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""NAT64: how IPv6-only machines reach the IPv4 internet."""

_ALSO_NOT_PUBLIC = (
    IPv4Network("192.0.0.0/24"),  # this and the next two: not in the tables of every Python 3.11
    IPv6Network("2001::/23"),
    IPv6Network("3fff::/20"),
    IPv4Network("192.88.99.0/24"),  # relays that wrap IPv6 into IPv4
    IPv4Network("168.63.129.16/32"),  # where Azure's machines get their own configuration
)
