"""Where callbacks may go: a merchant names the URL, and it must not lead into our own network (SSRF)."""

import re
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

# What is global by the book and yet speaks to the machine's own cloud, or is nobody's host
NOT_PUBLIC_EITHER: Final = (
    IPv4Network("168.63.129.16/32"),  # Azure's own agent service
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments; Oracle's metadata are at .192
    IPv4Network("192.88.99.0/24"),  # the old 6to4 relays
)
GLOBAL_UNICAST: Final = IPv6Network(
    "2000::/3"
)  # all that is handed out; mapped, local and compatible forms lie outside
TUNNELS: Final = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))  # 6to4, Teredo: an IPv4 address inside
NOBODYS: Final = IPv6Network("3fff::/20")  # documentation, younger than Python's own list
NAT64: Final = IPv6Network("64:ff9b::/96")  # how IPv4 looks from an IPv6-only network: the last 32 bits decide

NOT_IN_A_URL: Final = re.compile(r"[\x00-\x20\x7f\\]")  # parsers disagree about these, and one of them is fooled
NAME: Final = re.compile(r"[^%\[\]:<>|^\s]+")
ENDS_IN_A_NUMBER: Final = re.compile(r"(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)$")  # 2130706433, 0x7f.1, 0177.0.0.1
LOOPBACK_NAME: Final = re.compile(r"(^|\.)localhost$")


def is_public(address: str) -> bool:
    """Whether this IP address is a host on the public internet. What is no address is not."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return _is_public_v4(parsed) if isinstance(parsed, IPv4Address) else _is_public_v6(parsed)


def refusal_of(url: str, allow_hosts: AbstractSet[str]) -> str | None:
    """Return why no callback may go to this URL; None if it may, as far as the URL alone tells.

    A name can still resolve to an address that is not public: that is found out at the connection, by `is_public`.
    Hosts in `allow_hosts` (lower case) are trusted, with http and private addresses too.
    """
    if NOT_IN_A_URL.search(url):
        return "the URL holds a blank, a control character or a backslash"
    try:
        parts = urlsplit(url)
        host, _port = _host(parts), parts.port
    except ValueError as error:
        return f"the URL cannot be read: {error}"
    if "@" in parts.netloc:
        return "the URL holds a user name"
    if host in allow_hosts and parts.scheme in {"https", "http"}:
        return None
    return "the URL is not https" if parts.scheme != "https" else _refusal_of_host(host)


def is_allowed(url: str, allow_hosts: AbstractSet[str]) -> bool:
    """Whether the host of a URL that was not refused is trusted by name."""
    return _host(urlsplit(url)) in allow_hosts


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").removesuffix(".")


def _refusal_of_host(host: str) -> str | None:
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        return None if is_public(host) else f"{host} is no public address"
    if not NAME.fullmatch(host):
        return "the URL names no host"
    if ENDS_IN_A_NUMBER.search(host):
        return "the host is an address in disguise"
    return f"{host} is no public host" if LOOPBACK_NAME.search(host) else None


def _is_public_v4(address: IPv4Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in NOT_PUBLIC_EITHER)
    )


def _is_public_v6(address: IPv6Address) -> bool:
    if address in NAT64:
        return _is_public_v4(IPv4Address(int(address) & 0xFFFFFFFF))
    return (
        address in GLOBAL_UNICAST
        and address.is_global
        and address not in NOBODYS
        and not any(address in network for network in TUNNELS)
    )
