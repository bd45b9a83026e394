"""A file that a command writes for a person: all of it, or what was there before.

The law: a cut file is never left under the name that was asked for, for nobody could tell it from a whole one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, in the place of a former one; a pipe or a device takes what comes. Links are followed.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    target = path.resolve()
    if target.exists() and not (target.is_file() and os.access(target.parent, os.W_OK)):
        target.write_bytes(content)
        return
    draft = target.with_name(f".turnout-{secrets.token_hex(4)}.unfinished")
    try:
        draft.write_bytes(content)
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
