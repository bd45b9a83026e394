"""Where a backup or an export may go, and what is said when the disk does not take it."""

from __future__ import annotations

import errno
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from analytics.lake.store import OBJECTS
from gateway.cli import Abort

if TYPE_CHECKING:
    from analytics.lake.place import Place

_IN_THE_WAY = "a file is in the way: name another place, or move it"
_NO_RIGHT = "give this account the right to it, or name another place"
_REMEDIES = {
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def require_place(target: str) -> None:
    """Refuse a URL that leads nowhere: as a path it would become a folder of that name.

    Raises:
        Abort: it does.
    """
    if _SCHEME.match(target) and not target.startswith(OBJECTS):
        message = f"{target} is no place that can be written to; name a folder by its path, or s3://BUCKET/PREFIX"
        raise Abort(message)


def require_outside(target: str, lake: Place) -> None:
    """Refuse a target inside the lake: who reads all of the lake would read every row twice.

    Raises:
        Abort: it is inside.
    """
    inside = (
        target.rstrip("/").startswith(lake.url.rstrip("/") + "/")
        if lake.directory is None
        else not target.startswith(OBJECTS) and Path(target).resolve().is_relative_to(lake.directory.resolve())
    )
    if inside:
        message = f"{target} is inside the lake {lake.url}, whose readers would take it for records; name another place"
        raise Abort(message)


def require_apart(target: str, state_dir: Path) -> None:
    """Refuse a target inside a state directory: what takes that away would take the backup along.

    Raises:
        Abort: it is inside.
    """
    if not target.startswith(OBJECTS) and state_dir.resolve() in Path(target).resolve().parents:
        message = f"{target} is inside the state directory {state_dir}, and would be lost with it; name a place outside"
        raise Abort(message)


def refused(error: Exception, nothing_was: str, target: str | Path) -> str:
    """Return the sentence for an error; one of the system's own is said with the place and the remedy.

    `nothing_was` is such as "nothing was exported".
    """
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{nothing_was}: there is no room left at {target}, or in {tempfile.gettempdir()}, where files are "
            "prepared; make room, or name another place (TMPDIR names another folder to prepare in)"
        )
    remedy = _REMEDIES.get(error.errno, "name another place")
    return f"{nothing_was}: {error.filename or target}: {error.strerror}; {remedy}"
