"""What a host is called in a lake that several hosts write: its name, and digits of its state directory's own."""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path

_FILE = "host"
_LONGEST = 63


def host_name(journal: Path) -> str | None:
    """Return the name under which this journal's records are in such lakes; None if it has none yet."""
    try:
        return (journal / _FILE).read_text().strip() or None
    except FileNotFoundError:
        return None


def named_host(journal: Path) -> str:
    """Return that name, and make it at the first time."""
    found = host_name(journal)
    if found is not None:
        return found
    clean = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:_LONGEST].strip(".-")
    name = f"{clean or 'host'}-{secrets.token_hex(4)}"
    draft = journal / f"{_FILE}.{os.getpid()}.tmp"
    draft.write_text(name + "\n")
    draft.replace(journal / _FILE)
    return name
