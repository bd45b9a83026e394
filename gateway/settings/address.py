"""What a URL of the configuration may be: the only addresses that Turnout ever calls come from here. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

_LOOPBACK_NAMES = ("localhost", "localhost.")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+")
_ENDPOINT = re.compile(r"/(chat/completions|completions|responses|embeddings|models)$")
_EXAMPLE = 'write it like "https://api.openai.com/v1"'


def base_url_faults(url: str) -> Iterator[str]:
    """Yield what is wrong with an upstream's address, without repeating what may be a credential."""
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        yield f"holds a space, a backslash or a character outside ASCII; {_EXAMPLE}"
        return
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        yield f"has a host or a port that cannot be read; {_EXAMPLE}"
        return
    if parts.scheme not in {"http", "https"}:
        yield f"does not begin with https:// or http://; {_EXAMPLE}"
        return
    if not _HOST.fullmatch(parts.hostname or ""):
        yield f"names no host that can be called; {_EXAMPLE}"
    if port == 0:
        yield "has port 0, which cannot be called; name the upstream's port or leave it out"
    yield from _superfluous(url, parts)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stays on this machine."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _superfluous(url: str, parts: SplitResult) -> Iterator[str]:
    if "@" in parts.netloc:
        yield 'carries a user name or password; take it out and use api_key = { env = "NAME" }'
    if "?" in url or "#" in url:
        yield "has a query or a fragment, which would be lost; take off everything from the ? or # on"
    segments = parts.path.lower().replace("%2e", ".").split("/")
    if "." in segments or ".." in segments:
        yield "has a . or .. segment in its path; write the path that it stands for"
    elif "" in segments[1:-1]:
        yield "has an empty segment (//) in its path; write one slash"
    if endpoint := _ENDPOINT.search(parts.path):
        yield f"ends in {endpoint[0]}, which Turnout adds itself; take it off"
