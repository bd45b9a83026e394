"""Where the console is and by which key it is asked: as the environment says, or as the state directory does.

On the console's machine that has its address, and the first start's admin key.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.cli import Abort
from gateway.settings.environment import KEY_VARIABLE, URL_VARIABLE

ADDRESSES_FILE = "addresses.json"
FIRST_KEYS_FILE = "first-keys"


def found_url(directory: Path) -> str:
    """Return the console's address.

    Raises:
        Abort: no console is known there.
    """
    path = directory / ADDRESSES_FILE
    try:
        return str(msgspec.json.decode(path.read_bytes())["console"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        message = (
            f"no console is known: {path} does not tell its address; start `turnout serve`, or set {URL_VARIABLE} and "
            f"{KEY_VARIABLE} (a stopped installation's files: --direct)"
        )
        raise Abort(message) from error


def found_key(directory: Path) -> str:
    """Return the first admin key.

    Raises:
        Abort: it is not there.
    """
    path = directory / FIRST_KEYS_FILE
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        lines = []
    for words in lines:
        if words[:1] == ["admin"] and len(words) == 2:
            return words[1]
    message = f"no key is known: {path} has no admin key that can be read; set {KEY_VARIABLE} to an ops or admin key"
    raise Abort(message)


def called_url(url: str) -> str:
    """Return an address out of the environment.

    Raises:
        Abort: nothing can be called by it.
    """
    if not url.startswith(("http://", "https://")):
        message = f"{URL_VARIABLE} is {url!r}, which is no address; write the console's, such as http://127.0.0.1:8081"
        raise Abort(message, exit_code=2)
    return url


def sent_key(key: str) -> str:
    """Return a key out of the environment.

    Raises:
        Abort: no header can carry it; it is not shown.
    """
    if not all("!" <= character <= "~" for character in key):
        message = f"{KEY_VARIABLE} holds no key: one has neither white space nor letters such as ü; copy it anew"
        raise Abort(message, exit_code=2)
    return key
