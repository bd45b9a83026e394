"""An analyst who asks for one report after the other, as a process: it stands for another machine, and comes last here.

`python -m tests.acceptance.analyst URL KEY`: from a line `on` to the next line it asks; each answer is a line of
standard output, an empty one for a report that took too long; `off` says that the last one is there.
"""

from __future__ import annotations

import sys
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

_TOO_LONG = 503


def main() -> None:
    """Ask from `on` to `off`, until standard input ends."""
    is_on, is_over = threading.Event(), threading.Event()
    threading.Thread(target=_listen, args=(is_on, is_over), daemon=True).start()
    while is_on.wait() and not is_over.is_set():
        print(_asked(sys.argv[1], sys.argv[2]), flush=True)  # noqa: T201 - it is the answer
        if not is_on.is_set():
            print("off", flush=True)  # noqa: T201 - whoever measures waits for it


def _listen(is_on: threading.Event, is_over: threading.Event) -> None:
    for line in sys.stdin:
        (is_on.set if line == "on\n" else is_on.clear)()
    is_over.set()
    is_on.set()


def _asked(url: str, key: str) -> str:
    target = urlsplit(url)
    connection = HTTPConnection(target.hostname or "", target.port, timeout=120)
    connection.request("GET", f"{target.path}?{target.query}", headers={"authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status not in (200, _TOO_LONG):
        raise RuntimeError(text)
    return "" if answer.status == _TOO_LONG else text


if __name__ == "__main__":
    main()
