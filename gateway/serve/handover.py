"""Hand one host's work over to a new supervisor: its listening sockets and its lock go through a socket of their own.

The former supervisor first ends what cannot run twice (shipper, console), then passes the descriptors, and drains its
workers when the new one says that its own accept requests. Until then it can take everything back: it does so when the
new one is gone. All descriptors are duplicates, so neither side ever closes a port of the other. The new one offers to
hand over only from then on: before, whoever asks has to find the one that may still take everything back.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from gateway.serve.roll import Crew
from gateway.serve.running import Running

SOCKET_FILE = "handover.sock"
PATIENCE_S = 120.0
"""How long a new supervisor may take from the descriptors to workers that accept requests."""
_READY = b"ready"
_MESSAGE_BYTES = 65_536
_MOST_DESCRIPTORS = 4
_CLOSED = b""

_log = logging.getLogger("turnout.serve")


class HandoverError(Exception):
    """There is nobody who hands over; the message says why."""


class Estate(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over: open descriptors of the lock and the listening sockets, and names that are still in use.

    `metrics` is -1 where that port could not be had.
    """

    lock: int
    gateway: int
    console: int
    metrics: int = -1
    names: frozenset[str] = frozenset()

    @property
    def descriptors(self) -> list[int]:
        """Return what there is of them, in their order."""
        return [one for one in (self.lock, self.gateway, self.console, self.metrics) if one >= 0]


class Offer:
    """The giving side: from `listen` on, it hands over to the first that comes to the state directory's socket."""

    def __init__(self, state_dir: Path, estate: Estate) -> None:
        self._estate = estate
        self._path = state_dir / SOCKET_FILE
        self._listener: socket.socket | None = None
        self._is_made = False
        self._heir: socket.socket | None = None
        self._ended: list[Running] = []
        self._is_given = False
        self._given_up_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Tell whether somebody is taking over."""
        return self._heir is not None

    def listen(self) -> None:
        """Be the one that hands over, if it is not yet; where there can be no socket, which is logged, nobody is."""
        if self._is_made:
            return
        self._is_made = True
        try:
            self._listener = _listen(self._path)
        except OSError as error:
            _log.warning("this host cannot be taken over", extra={"reason": str(error)})

    def close(self) -> None:
        """Stop listening, and tell the new supervisor that nothing of this host's is left."""
        for one in (self._listener, self._heir):
            if one is not None:
                one.close()

    def step(self, crew: Crew, now: float) -> bool:
        """Go on as far as it goes now; return True when the new supervisor has taken over."""
        if self._heir is None:
            self._await_heir(crew, now)
        elif not self._is_given:
            if all(one.has_ended() for one in self._ended):
                self._give(self._heir, crew, now)
        else:
            said = _received(self._heir)
            if said == _READY:
                _log.info("a new supervisor has taken over; what is left here ends")
                return True
            if said == _CLOSED:
                self._take_back(crew)
            elif now > self._given_up_at:
                self._heir.shutdown(socket.SHUT_WR)
                self._given_up_at = now + PATIENCE_S
        return False

    def _await_heir(self, crew: Crew, now: float) -> None:
        if self._listener is None:
            return
        try:
            self._heir, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        self._heir.settimeout(0)
        _log.info("a new supervisor takes over")
        self._ended = [one for one in crew.running if not one.child.rolls]
        crew.running = [one for one in crew.running if one.child.rolls]
        for one in self._ended:
            crew.dismiss(one, now)

    def _give(self, heir: socket.socket, crew: Crew, now: float) -> None:
        given = self._estate
        names = msgspec.json.encode(sorted(crew.names()))
        try:
            socket.send_fds(heir, [names], given.descriptors)
        except OSError:
            self._take_back(crew)
        else:
            self._is_given, self._given_up_at = True, now + PATIENCE_S

    def _take_back(self, crew: Crew) -> None:
        """Go on as before; the other side has closed its end only after its own children had ended."""
        _log.error("the new supervisor is gone before it was ready; this one goes on")
        crew.running += [Running(one.child) for one in self._ended]
        if self._heir is not None:
            self._heir.close()
        self._heir, self._is_given = None, False


class Inheritance:
    """The taking side: tells the former supervisor when to let go, and notices when nothing of it is left."""

    def __init__(self, giver: socket.socket, estate: Estate) -> None:
        self.estate = estate
        self.is_taken = False
        self._giver = giver
        self._is_over = False
        giver.settimeout(0)

    def __enter__(self) -> Self:
        """Hold the connection; leaving the block closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let the former supervisor know that this one is gone."""
        self._giver.close()

    def step(self, crew: Crew) -> bool:
        """Go on as far as it goes now; return False when the former supervisor wants everything back.

        One that ends before it has let go wants nothing back: all that it had is this one's then.
        """
        if self._is_over:
            return True
        is_closed = _received(self._giver) == _CLOSED
        if is_closed and (self.is_taken or _is_gone(self._giver)):
            _log.info("the former supervisor has ended")
            self._is_over = True
            crew.reserved = frozenset()
            self._take()
        elif is_closed:
            _log.error("taking over took too long; the former supervisor goes on")
            return False
        elif not self.is_taken and all(one.is_ready() for one in crew.running if one.child.rolls):
            with suppress(OSError):  # it has just ended, which comes to the same
                self._giver.send(_READY)
            self._take()
        return True

    def _take(self) -> None:
        if not self.is_taken:
            self.is_taken = True
            sign(self.estate.lock)


def inherit(state_dir: Path, patience_s: float = PATIENCE_S) -> Inheritance:
    """Ask the supervisor of this state directory to hand over, and wait until it does.

    Raises:
        HandoverError: there is none, or it does not answer.
    """
    giver = socket.socket(socket.AF_UNIX)
    try:
        giver.settimeout(patience_s)
        giver.connect(str(state_dir / SOCKET_FILE))
        names, descriptors, _, _ = socket.recv_fds(giver, _MESSAGE_BYTES, _MOST_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes it by position alone
        lock, gateway, console, *others = descriptors
        known = msgspec.json.decode(names, type=frozenset[str])
        metrics = others[0] if others else -1
        estate = Estate(lock=lock, gateway=gateway, console=console, metrics=metrics, names=known)
    except (OSError, ValueError) as error:
        giver.close()
        message = f"no `turnout serve` on {state_dir} hands over ({error}); start without --takeover"
        raise HandoverError(message) from error
    return Inheritance(giver, estate)


def sign(lock: int) -> None:
    """Write this process's id into the lock file, for those who want to send it a signal."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)


def _listen(path: Path) -> socket.socket:
    """Listen under a name that only the owner may use, and take the place of a former one at once."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    former = os.umask(0o177)
    try:
        listener.bind(str(draft))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(former)
    listener.listen(1)
    listener.settimeout(0)
    draft.rename(path)
    return listener


def _is_gone(connection: socket.socket) -> bool:
    """Tell whether the other side has ended; one that wants everything back closes only its own half."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


def _received(connection: socket.socket) -> bytes | None:
    """Return what has come, nothing at its end, and None as long as nothing comes."""
    try:
        return connection.recv(len(_READY))
    except BlockingIOError:
        return None
    except OSError:
        return _CLOSED
