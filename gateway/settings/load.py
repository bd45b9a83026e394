"""Read `turnout.toml` into a `Configuration`, or say everything that is wrong with its shape.

`walk.py` judges keys and types, `check.py` what they mean together; a file that passes both can be served.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import msgspec

from gateway.settings.check import check, check_process
from gateway.settings.prices import priced
from gateway.settings.problem import Problem, SettingsError
from gateway.settings.schema import Configuration
from gateway.settings.walk import shape_problems

_LARGEST_BYTES = 1024 * 1024
_PROCESS = ("server", "lake", "redis", "logs", "telemetry")
"""The sections that each host reads for itself."""
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|(?P<end>end of document))\)$")
_TOO_DEEP = "its tables or arrays are nested too deeply; no key of Turnout lies deeper than five tables"


def load_checked(path: Path, environment_names: AbstractSet[str] | None) -> tuple[Configuration, tuple[Problem, ...]]:
    """Return a configuration that may be served, and the warnings that its operator should read.

    `environment_names`: see `check`.

    Raises:
        SettingsError: the file cannot be read, has another shape, or contradicts itself.
    """
    configuration = _unpriced(path)
    problems = check(configuration, environment_names)
    if any(problem.severity == "error" for problem in problems):
        raise SettingsError(str(path), problems)
    with_prices, doubtful = priced(configuration, path)
    return with_prices, (*problems, *doubtful)


def load_process_settings(
    path: Path, environment_names: AbstractSet[str] | None
) -> tuple[Configuration, tuple[Problem, ...]]:
    """Return what a host reads for itself, without definitions, which come to it inside the snapshot; and warnings.

    Raises:
        SettingsError: as in `load_checked`, of these sections alone.
    """
    whole = _unpriced(path)
    configuration = Configuration(**{name: getattr(whole, name) for name in _PROCESS})
    problems = check_process(configuration, environment_names)
    if any(problem.severity == "error" for problem in problems):
        raise SettingsError(str(path), problems)
    return configuration, problems


def load(path: Path) -> Configuration:
    """Read a file whose keys, types and ranges are right; what they mean together is for `check` to judge.

    A `base_url` comes without the slash at its end, and a model with the price that a table has for it.

    Raises:
        SettingsError: it, or the file of prices that it names, cannot be read or has another shape; it names every
            such place.
    """
    return priced(_unpriced(path), path)[0]


def files_beside(path: Path) -> tuple[Path, ...]:
    """Return the files that a configuration file names and that a change of it may stand in; none when it is wrong."""
    try:
        prices = _unpriced(path).prices.file
    except SettingsError:
        return ()
    return (path.absolute().parent / prices,) if prices is not None else ()


def _unpriced(path: Path) -> Configuration:
    file = str(path)
    return from_tree(_tree(file, _text(file, path)), file)


def from_tree(tree: dict[str, Any], file: str) -> Configuration:
    """Turn a parsed file into a configuration; `file` is its name for messages.

    Raises:
        SettingsError: the tree has another shape; it names every such place.
    """
    problems = tuple(shape_problems(tree, Configuration))
    if problems:
        raise SettingsError(file, problems)
    try:
        configuration = msgspec.convert(tree, Configuration)
    except msgspec.ValidationError as error:
        raise _refused(file, str(error)) from error
    return _normalised(configuration)


def _text(file: str, path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        message = "there is no such file; write one (turnout.example.toml shows every key), or try `turnout demo`"
        raise _refused(file, message) from error
    except IsADirectoryError as error:
        raise _refused(file, "this is a directory; name the file inside it") from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise _refused(file, f"cannot be read: {reason}; the user that runs Turnout needs read access") from error
    if len(content) > _LARGEST_BYTES:
        raise _refused(file, f"is larger than {_LARGEST_BYTES} bytes; name a configuration file")
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        raise _refused(file, "begins with a byte order mark; save it as UTF-8 without one")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise _refused(file, message, f"line {line}") from error


def _tree(file: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(file, text, str(error)) from error
    except RecursionError as error:
        raise _refused(file, _TOO_DEEP) from error
    except ValueError as error:
        raise _refused(file, "holds a number or a date that nobody can read; write it shorter") from error


def _syntax(file: str, text: str, message: str) -> SettingsError:
    lines = text.splitlines() or [""]
    found = _PLACE.search(message)
    if found is None:
        return _refused(file, f"is not TOML: {message}")
    line = int(found["line"]) if found["line"] else len(lines)
    column = int(found["column"]) if found["column"] else len(lines[-1]) + 1
    said = message[: found.start()]
    return _refused(file, f"{said}{_syntax_remedy(lines, line, said)}", f"line {line}, column {column}")


def _syntax_remedy(lines: list[str], line: int, said: str) -> str:
    at_fault = lines[line - 1].strip() if line <= len(lines) else ""
    if at_fault.startswith("[") and ":" in at_fault and '"' not in at_fault:
        return '; a name with ":" or "." stands in quotes: [models."ft:gpt-4o:acme"]'
    if said.startswith(("Cannot declare", "Cannot overwrite")):
        return "; each table and each key may stand only once"
    if said.startswith("Invalid value"):
        return '; text stands in quotes: key = "value"'
    return ""


def _refused(file: str, message: str, path: str = "") -> SettingsError:
    return SettingsError(file, (Problem(path=path, message=message),))


def _normalised(configuration: Configuration) -> Configuration:
    upstreams = {
        name: msgspec.structs.replace(upstream, base_url=upstream.base_url.rstrip("/"))
        for name, upstream in configuration.upstreams.items()
    }
    return msgspec.structs.replace(configuration, upstreams=upstreams)
