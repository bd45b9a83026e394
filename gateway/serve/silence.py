"""The supervisor's watch over the controller: a console that is dead, stopped or hangs cannot tell of its own silence.

The law: the supervisor itself calls nobody. It starts a process that tells the webhooks, one for each silence.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rollout.notify.heartbeat import SILENT_S, read_sign

LOOK_S = 1.0
_LONGEST_S = 180.0
_log = logging.getLogger("turnout.serve")


class Silence:
    """Watches one sign of life, from the first one on; `command` with `--since SIGN` tells of it."""

    def __init__(
        self,
        sign: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._command, self._environment = sign, command, environment
        self._silent_s, self._clock = silent_s, clock
        self._looked_at = clock() - LOOK_S
        self._sign: str | None = None
        self._since = clock()
        self._is_told = False
        self._telling: subprocess.Popen[bytes] | None = None
        self._telling_since = 0.0

    def look(self) -> None:
        """Look whether there was a sign; about once a second, however often this is called."""
        now = self._clock()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        self._tend(now)
        sign = read_sign(self._path)
        if sign != self._sign:
            self._sign, self._since, self._is_told = sign, now, False
        elif sign is not None and not self._is_told and now - self._since >= self._silent_s:
            self._is_told = True
            self._tell(sign, now)

    def close(self) -> None:
        """End what is still telling."""
        if self._telling is not None and self._telling.poll() is None:
            self._telling.kill()
            self._telling.wait()

    def _tell(self, sign: str, now: float) -> None:
        _log.critical("THE CONTROLLER IS SILENT: nothing is decided", extra={"silent_s": round(now - self._since)})
        self.close()
        try:
            self._telling = subprocess.Popen(
                [*self._command, "--since", sign],
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
            self._telling_since = now
        except OSError as error:
            _log.exception("webhooks cannot be told of it", extra={"reason": error.strerror})

    def _tend(self, now: float) -> None:
        """Let what has ended go, and end what takes too long."""
        if self._telling is not None and (self._telling.poll() is not None or now - self._telling_since > _LONGEST_S):
            self.close()
            self._telling = None
