"""What is wrong with a configuration file: where, what, and the remedy, in one line that is safe to print. Pure.

No line carries a control character of the file, and none a value that may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Keys = tuple[str | int, ...]
"""What leads to a place in the file: names of tables and keys, and places in arrays."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LIKE_A_SECRET = re.compile(
    r"sk-|gsk_|tn_|xai-|AIza|hf_|Bearer |[a-z+]+://[^/]*@|\S*[?&]\S*=|(?=\S*\d)[A-Za-z0-9+/_=-]{40,}$"
)
_LONGEST = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend. `path` is the place inside the file as TOML writes it, empty for the file as a whole."""

    severity: Severity = "error"
    path: str
    message: str

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{warning}{self.path}: {self.message}" if self.path else f"{warning}{self.message}"


def error_at(keys: Keys, message: str) -> Problem:
    """Return what keeps the configuration from being used."""
    return Problem(path=dotted(keys), message=message)


def warning_at(keys: Keys, message: str) -> Problem:
    """Return what the operator should read, and may mean."""
    return Problem(severity="warning", path=dotted(keys), message=message)


class SettingsError(Exception):
    """A configuration that cannot be used; `problems` has every reason, the message one line for each."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))
        self.file = file
        self.problems = tuple(problems)


def dotted(keys: Keys) -> str:
    """Write a path as the file would: `models."gpt-4o".price.input`, `applications.web.accept[0]`.

    A model's name is always quoted: most need it, and one form is easier to find.
    """
    path = ""
    for at, key in enumerate(keys):
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            bare = _BARE_KEY.fullmatch(key) and (at != 1 or keys[0] != "models")
            path += ("." if path else "") + (key if bare else quoted(key))
    return path


def quoted(text: str) -> str:
    """Write text in double quotes, everything that does not print escaped, cut when it is long."""
    shortened = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    escaped = (f"\\{char}" if char in '"\\' else char if char.isprintable() else _escape(char) for char in shortened)
    return f'"{"".join(escaped)}"'


def shown(value: object) -> str:
    """Write a value of the file for a message; one that looks like a credential is named by its length alone."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"(hidden, {len(value)} characters)" if _LIKE_A_SECRET.match(value) else quoted(value)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    try:
        text = str(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "..."?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {quoted(near[0])}?" if near else ""


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
