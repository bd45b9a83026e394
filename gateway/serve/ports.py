"""What a start takes from the machine: addresses to listen on, files to leave; and how it says that it cannot."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

_BACKLOG = 2048


class StartError(Exception):
    """The host cannot start; the message is one sentence with the remedy."""


def bind(host: str, port: int, held: ExitStack) -> socket.socket:
    """Listen on an address; the socket is closed with `held`.

    Raises:
        StartError: the address is taken, foreign or malformed.
    """
    try:
        bound = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except (OSError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        message = f"cannot listen on {host!r} port {port}: {reason}; choose another address, or port 0 for any free one"
        raise StartError(message) from error
    return bound


def url(bound: socket.socket) -> str:
    """Return the URL under which this machine reaches a bound socket."""
    host, port = bound.getsockname()[:2]
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - read, not bound
    return f"http://{named}:{port}"


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole, durably, with this mode from its first moment.

    Raises:
        StartError: the disk or its rights refuse.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:  # noqa: PTH123 - an open descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; make the state directory writable, with room in it"
        raise StartError(message) from error
