"""A small file of the lake on its way to this host's disk, for processes that never open a lake.

The law: what lies here is what lay in the lake, whole, and seen by its owner alone. Whether it may be believed is for
whoever reads it.

`python -m analytics.lake.fetch --lake LAKE --name NAME --into DIR` brings it once: 0 when it is here, 3 when there is
none, 1 when the lake cannot be read.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from analytics.lake.absence import Log
from analytics.lake.directory import Directory
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.store import Store

AGAIN_S = 1.0
"""How often the lake is asked until it has the file; from then on every `_REFRESH_S`, since each call costs money."""
_REFRESH_S = 30.0
_NONE = 3


class Fetch:
    """Brings the file `name` of a lake into the directory `into`, under the same name."""

    def __init__(self, lake: Store, name: str, into: Path, log: Log) -> None:
        self._lake, self._name, self._log = lake, name, log
        self._into, self._folder = Directory(into), (into / name).parent
        self._present: bytes | None = None
        self._trouble: str | None = None

    def once(self) -> bool:
        """Bring the file unless it is here already; tell whether the lake has it.

        Raises:
            OSError: the lake cannot be read, or this disk not written.
        """
        body = self._lake.read(self._name)
        if body is None or body == self._present:
            return body is not None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._into.replace(self._name, body)
        self._present = body
        return True

    def run(self, stop: threading.Event, again_s: float = AGAIN_S) -> None:
        """Bring it as soon as it is there, and every newer one some time later, until told to stop."""
        is_here, pause_s = False, 0.0
        while not stop.wait(pause_s):
            try:
                is_here = self.once() or is_here
                self._note(None)
            except OSError as error:
                self._note(str(error))
            pause_s = _REFRESH_S if is_here else again_s

    def _note(self, trouble: str | None) -> None:
        """Say once what is wrong, and when it is over."""
        if trouble is not None and self._trouble is None:
            self._log("warning", "copy_not_fetched", {"file": self._name, "reason": trouble})
        elif trouble is None and self._trouble is not None:
            self._log("info", "copy_fetched", {"file": self._name})
        self._trouble = trouble


def main(argv: Sequence[str] | None = None) -> int:
    """Bring one file once."""
    parser = argparse.ArgumentParser(prog="python -m analytics.lake.fetch", description="Bring a file of the lake.")
    parser.add_argument("--lake", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--into", type=Path, required=True)
    arguments = parser.parse_args(argv)
    try:
        fetch = Fetch(Place(url=arguments.lake).open(), arguments.name, arguments.into, _unsaid)
        return 0 if fetch.once() else _NONE
    except (OSError, MissingPackageError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _unsaid(_level: str, _event: str, _fields: object) -> None:
    return


if __name__ == "__main__":
    sys.exit(main())
