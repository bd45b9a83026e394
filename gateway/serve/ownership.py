"""Whose a state directory is: the demonstration's, or a configuration's. They are never mixed.

The demonstration's percent and keys would otherwise be in force, unasked, for real users of the same rollout.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from rollout.stores.ledger import LEDGER_FILE

DEMO_CONFIG = "demo.toml"
"""Lies in every state directory that a demonstration made."""


class ForeignDirectoryError(Exception):
    """A demonstration was to run on a real installation's state; the message names the remedy."""


def set_demo_aside(state_dir: Path) -> Path | None:
    """Move a demonstration's state out of a real installation's way, under a name of its own; returns where it went."""
    if not (state_dir / DEMO_CONFIG).exists():
        return None
    aside = _free(state_dir)
    state_dir.rename(aside)
    return aside


def require_demo(state_dir: Path) -> None:
    """Refuse to play a demonstration on state that no demonstration made.

    Raises:
        ForeignDirectoryError: the directory is a real installation's.
    """
    if (state_dir / LEDGER_FILE).exists() and not (state_dir / DEMO_CONFIG).exists():
        another = state_dir.with_name(f"{state_dir.name}-demo")
        named = quote(str(another.relative_to(Path.cwd()) if another.is_relative_to(Path.cwd()) else another))
        message = (
            f"{state_dir} is a real installation's state; put its turnout.toml back, or give the demonstration "
            f'another --state-dir: make run ARGS="--state-dir {named}"'
        )
        raise ForeignDirectoryError(message)


def _free(state_dir: Path) -> Path:
    number = 1
    while (aside := state_dir.with_name(f"{state_dir.name}-demo{'' if number == 1 else f'-{number}'}")).exists():
        number += 1
    return aside
