"""Secrets: the installation's one master secret, the keys derived from it, and references to foreign credentials.

A secret's value is never part of a message or of a `repr`; a message names the variable or the file, and the remedy.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.settings.schema import SecretRef

MASTER_VARIABLE = "TURNOUT_SECRET"
MASTER_FILE = "secret"
MASTER_BYTES = 32
"""The least length of a master secret; a generated one is this many random bytes, written as hex."""

_LARGEST_BYTES = 64 * 1024
_MAKE_ONE = "make one with: openssl rand -hex 32"


class SecretError(Exception):
    """A secret that cannot be had; the message names where it was looked for and the remedy, never the value."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Derived:
    """The installation's keys, 32 bytes each: bucket salts, key fingerprints, user hashes, snapshot signatures."""

    salt: bytes
    pepper: bytes
    user_hash: bytes
    snapshot: bytes

    def __repr__(self) -> str:
        return "Derived(...)"


def derive(master: bytes, label: str) -> bytes:
    """Return HMAC-SHA256(master, label): 32 bytes that tell nothing of the master or of another label's key."""
    return hmac.digest(master, label.encode(), "sha256")


def derived(master: bytes) -> Derived:
    """Return every key of this installation."""
    return Derived(
        salt=derive(master, "salt"),
        pepper=derive(master, "pepper"),
        user_hash=derive(master, "user-hash"),
        snapshot=derive(master, "snapshot"),
    )


def load_master(
    state_dir: Path, environment: Mapping[str, str], randomness: Callable[[int], bytes], *, create: bool = True
) -> bytes:
    """Return the master secret: `TURNOUT_SECRET`, else `<state_dir>/secret`, which is made when it is missing.

    Both forms are read alike (the text's bytes, without the line break at its end), so that the file's content may
    move into the variable. Where both are there they must agree: another secret would silently move every user to
    another bucket and invalidate every key. For the same reason `create` is false where the state directory has been
    in use: a lost secret is to be put back, not replaced.

    Raises:
        SecretError: the secret is too short, or missing and not to be made; the file is open to others or unreadable;
            or the two differ.
    """
    path = state_dir / MASTER_FILE
    given = environment.get(MASTER_VARIABLE)
    if given is None:
        if not os.path.lexists(path):
            if not create:
                message = (
                    f"{path} is missing, with which this state directory was made; restore it, or set {MASTER_VARIABLE}"
                )
                raise SecretError(message)
            _create(path, randomness(MASTER_BYTES).hex())
        return _long_enough(_private(path), str(path))
    master = _long_enough(_bytes(given), MASTER_VARIABLE)
    if os.path.lexists(path) and not hmac.compare_digest(master, _private(path)):
        message = (
            f"{MASTER_VARIABLE} differs from {path}, with which this state directory was made; unset the variable, "
            "or give the installation another state directory"
        )
        raise SecretError(message)
    return master


def resolve(ref: SecretRef, environment: Mapping[str, str]) -> str:
    """Return what a reference leads to, without the line break at its end.

    Raises:
        SecretError: the variable is not set, the file cannot be read, or what is there cannot be a credential.
    """
    if (ref.env is None) == (ref.file is None):
        message = 'a secret is given by exactly one of { env = "NAME" } and { file = "/path" }'
        raise SecretError(message)
    if ref.env is not None:
        place, text = f"environment variable {ref.env}", environment.get(ref.env)
        if text is None:
            message = f"{place} is not set; export {ref.env}=... before the start"
            raise SecretError(message)
    else:
        place = f"secret file {ref.file}"
        text = _read(Path(ref.file or ""), place)[0].decode("utf-8", "surrogateescape")
    return _credential(_without_line_break(text), place)


def _credential(text: str, place: str) -> str:
    if not text:
        message = f"{place} is empty; put the credential there"
        raise SecretError(message)
    if not all("!" <= character <= "~" for character in text):
        message = f"{place} holds a space, a line break or a character outside ASCII, which no credential may have"
        raise SecretError(message)
    return text


def _long_enough(master: bytes, place: str) -> bytes:
    if len(master) < MASTER_BYTES:
        message = f"{place} has {len(master)} bytes; a master secret has {MASTER_BYTES} or more: {_MAKE_ONE}"
        raise SecretError(message)
    return master


def _private(path: Path) -> bytes:
    content, mode = _read(path, str(path))
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"{path} may be read by others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
        raise SecretError(message)
    return _bytes(content.decode("utf-8", "surrogateescape"))


def _read(path: Path, place: str) -> tuple[bytes, int]:
    """Return content and mode of a regular file; O_NONBLOCK keeps a named pipe from holding the start up for ever."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - an open descriptor
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_BYTES + 1) if stat.S_ISREG(mode) else None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        message = f"{place} cannot be read: {reason}"
        raise SecretError(message) from error
    if content is None:
        message = f"{place} is not a regular file"
        raise SecretError(message)
    if len(content) > _LARGEST_BYTES:
        message = f"{place} is larger than {_LARGEST_BYTES} bytes, which no secret is"
        raise SecretError(message)
    return content, mode


def _create(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all; a process that was faster keeps its own."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        Path(draft).unlink()
        _sync_folder(path.parent)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; make the state directory writable"
        raise SecretError(message) from error


def _sync_folder(folder: Path) -> None:
    """Keep the new name through a power loss: a ledger that outlives its secret is worth nothing."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bytes(text: str) -> bytes:
    return _without_line_break(text).encode("utf-8", "surrogateescape")


def _without_line_break(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
