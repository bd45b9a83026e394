"""Keeps the lake compacted: a process of its own, the least of all, whenever enough small files lie about.

So a compaction takes no time and no memory of the console's, and may be killed: the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from litestar import Litestar

from analytics.lake.aside import step_back
from analytics.lake.contents import contents
from analytics.lake.erasure import ERASURES, Erasures
from analytics.lake.layout import INCOMING
from analytics.lake.place import Place
from gateway.errors import ApiError

LOOK_S = 60.0
MANY_FILES = 256
"""So many small files are compacted at once; what is less waits for `OFTEN_S`."""
OFTEN_S = 600.0
_KNOWN = ("PATH", "HOME", "LANG", "TMPDIR")
_OPENING = "AWS_"

_log = logging.getLogger("turnout.console")


class Compacting(msgspec.Struct, frozen=True, kw_only=True):
    """Whose lake, and what of the environment opens it; `may` tells whether this console is the one to do it.

    The lake keeps `retention_days`. `after` is called in a thread after each compaction, also after one that failed.
    """

    place: Place
    state_dir: Path
    environment: Mapping[str, str]
    may: Callable[[], bool]
    retention_days: int | None = None
    after: Callable[[], None] = lambda: None
    many_files: int = MANY_FILES
    look_s: float = LOOK_S
    often_s: float = OFTEN_S

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncGenerator[None]:
        """Compact now and then until the block ends."""
        task = asyncio.create_task(self._go_on(), name="compact-lake")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(self.look_s)
            is_time = loop.time() - last_s >= self.often_s
            if self.may() and (is_time or await asyncio.to_thread(self._is_much)):
                await self._compact()
                await self._tell()
                last_s = loop.time()

    async def _tell(self) -> None:
        try:
            await asyncio.to_thread(self.after)
        except (ApiError, OSError) as error:
            _log.error("the audit does not tell yet what the lake let go of", extra={"reason": str(error)})

    def _is_much(self) -> bool:
        """Tell whether very many small files lie about, or somebody is still to be erased.

        An object store is not asked, where that costs money.
        """
        if self.place.directory is None:
            return False
        try:
            if Erasures(self.state_dir / ERASURES).standing():
                return True
            return len(contents(self.place.open())[INCOMING].loose) >= self.many_files
        except OSError:
            return True  # the compaction will say what is wrong

    async def _compact(self) -> None:
        words = ["-m", "analytics.lake.compact", "--state-dir", str(self.state_dir), "--lake", self.place.url]
        if self.retention_days is not None:
            words += ["--retention-days", str(self.retention_days)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=opening(self.environment),
        )
        step_back(process.pid)
        try:
            said, trouble = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            _log.error("the lake was not compacted; it is tried again", extra={"reason": last_line(trouble)})
        elif (
            (done := msgspec.json.decode(said, type=dict[str, int])).get("files")
            or done.get("removed")
            or done.get("expired")
        ):
            _log.info("lake compacted", extra=done)


def opening(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a process needs of the environment to open a lake, and nothing else."""
    return {name: value for name, value in environment.items() if name in _KNOWN or name.startswith(_OPENING)}


def last_line(text: bytes) -> str:
    """Return what a process said last."""
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
