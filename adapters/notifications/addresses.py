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

# What stands in no URL that is called, wherever its host is: the pattern, and what is said of it
ODDITIES: Final = (
    # parsers disagree about these, and one of them is fooled
    (re.compile(r"[\x00-\x20\x7f\\]"), "the URL holds a blank, a control character or a backslash"),
    (re.compile(r"[^\x00-\x7f]"), "the URL is not ASCII: a host is written as xn--..., anything else with %"),
    (re.compile("#"), "the URL holds a fragment (#), which is never sent"),
    (re.compile(r"^[^/?]*//[^/?]*@"), "the URL holds a user name"),
    (re.compile(".{2001}"), "the URL is longer than 2000 characters"),
)
LONGEST_NAME: Final = 253
LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # _ is no letter of a host's, and yet it resolves
PUNYCODE: Final = "xn--"
ENDS_IN_A_NUMBER: Final = re.compile(r"(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)$")  # 2130706433, 0x7f.1, 0177.0.0.1
# RFC 6761, 6762 and 7686, and ICANN's own for what is inside: names under these are nobody's on the internet
NEVER_PUBLIC: Final = re.compile(r"(^|\.)(localhost|local|internal|invalid|onion)$")


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
    odd = next((why for pattern, why in ODDITIES if pattern.search(url)), None)
    if odd is not None:
        return odd
    try:
        parts = urlsplit(url)
        host, port = _host(parts), parts.port
    except ValueError as error:
        return f"the URL cannot be read: {error}"
    if port == 0:
        return "nobody listens at port 0"
    if host in allow_hosts and parts.scheme in {"https", "http"}:
        return None
    return "the URL is not https" if parts.scheme != "https" else _refusal_of_host(host)


def is_allowed(url: str, allow_hosts: AbstractSet[str]) -> bool:
    """Whether the host of a URL that was not refused is trusted by name."""
    return _host(urlsplit(url)) in allow_hosts


def _host(parts: SplitResult) -> str:
    return parts.hostname or ""


def _refusal_of_host(host: str) -> str | None:
    try:
        ip_address(host)
    except ValueError:
        return _refusal_of_name(host)
    return None if is_public(host) else f"{host} is no public address"


def _refusal_of_name(name: str) -> str | None:
    if name.endswith("."):
        return "the host ends in a dot"
    if ENDS_IN_A_NUMBER.search(name):
        return "the host is an address in disguise"
    labels = name.split(".")
    if len(name) > LONGEST_NAME or not all(_is_label(label) for label in labels):
        return "the URL names no host"
    if len(labels) == 1 or NEVER_PUBLIC.search(name):
        return f"{name} is no public host"
    return None


def _is_label(label: str) -> bool:
    """Whether a name's part, in lower case, is one; what says that it stands for other letters must say which."""
    if not LABEL.fullmatch(label):
        return False
    if not label.startswith(PUNYCODE):
        return True
    try:
        written = label.removeprefix(PUNYCODE).encode().decode("punycode")
    except UnicodeError:
        return False
    return not written.isascii() and written.isprintable()


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
