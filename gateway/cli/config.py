"""`turnout config check`: judge a configuration file whole, and print what is wrong with it, each with its remedy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from gateway.cli.table import write_json
from gateway.serve.fleet import Part, load_for
from gateway.settings.accepted import Accepted, accepted
from gateway.settings.built_in import NoBaseError, built_in
from gateway.settings.environment import config_path, process_environment
from gateway.settings.lake_access import missing_package
from gateway.settings.load import load_checked
from gateway.settings.problem import Problem, SettingsError, error_at, warning_at
from gateway.settings.schema import Configuration
from gateway.settings.secrets import SecretError, resolve

_ALONE = "without Redis, a copy of its own and the lake"
_NO_BASE = f"{_ALONE}, this gateway would not be ready"
_COUNTED = ("upstreams", "models", "rollouts", "applications")


def add_parser(commands: Any) -> None:
    """Add `config` with its one action."""
    command: argparse.ArgumentParser = commands.add_parser("config", help="check a configuration file")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="judge the whole file and say what to change",
        description="Judge a configuration file whole. Exit code: 0 good (warnings allowed), 1 not usable, 2 usage.",
    )
    check.add_argument("file", nargs="?", type=Path, help="default: $TURNOUT_CONFIG, else turnout.toml")
    check.add_argument(
        "--role",
        choices=get_args(Part),
        default="all",
        help="judge it for this part of a fleet; default: all",
    )
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> int:
    """Print the verdict and return the exit code."""
    environment = process_environment()
    file: Path = arguments.file if arguments.file is not None else config_path(environment)
    configuration, problems = _judge(file, arguments.role, environment)
    counts = _counts(configuration) if configuration is not None and arguments.role != "gateway" else None
    is_base = not any(_NO_BASE in problem.message for problem in problems) if arguments.role == "gateway" else None
    if arguments.json:
        verdict = {"file": str(file), "ok": configuration is not None, "problems": problems, "counts": counts}
        write_json(verdict if is_base is None else {**verdict, "base_without_snapshot": is_base})
    else:
        _write_lines(file, problems, counts, is_good=configuration is not None, is_base=bool(is_base))
    return 1 if configuration is None else 0


def _judge(file: Path, role: Part, environment: Mapping[str, str]) -> tuple[Configuration | None, tuple[Problem, ...]]:
    set_names = {name for name, value in environment.items() if value}
    try:
        configuration, warnings = load_for(role, file, set_names)
    except SettingsError as error:
        return None, error.problems
    if role != "all" and configuration.redis.url is None:
        message = f'is missing; --role {role} works through Redis: write [redis] with url = "redis://HOST:6379"'
        return None, (*warnings, error_at(("redis", "url"), message))
    alone = _alone(file, environment) if role == "gateway" else ()
    return configuration, (*warnings, *_unusable(configuration, environment), *alone)


def _alone(file: Path, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield why a gateway could not serve base by this file while nobody tells it what is in force; or to whom not."""
    try:
        definitions = load_checked(file, None)[0]
        built_in(definitions, 0)
        for upstream in definitions.upstreams.values():
            if upstream.api_key is not None:
                resolve(upstream.api_key, environment)
    except SettingsError as error:
        first = next(problem for problem in error.problems if problem.severity == "error")
        yield Problem(severity="warning", path="", message=f"{_NO_BASE}: {first}")
    except (NoBaseError, SecretError) as error:
        yield Problem(severity="warning", path="", message=f"{_NO_BASE}: {error}")
    else:
        yield from _alone_without_keys(accepted(definitions.applications, environment))


def _alone_without_keys(given: Accepted) -> Iterator[Problem]:
    if not given.tokens:
        yield Problem(severity="warning", path="", message=f"{_NO_BASE}: {next(iter(given.lacking.values()))}")
        return
    served = ", ".join(sorted({name for name, _ in given.tokens}))
    for name, lack in given.lacking.items():
        message = f"{lack}; {_ALONE}, this gateway would serve base to {served} only"
        yield warning_at(("applications", name, "accept"), message)


def _unusable(configuration: Configuration, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what a process started here could not resolve or open; variables that are not set were named before."""
    if (package := missing_package(configuration.lake)) is not None:
        yield warning_at(("lake", "url"), package.removeprefix("lake.url: "))
    for keys, ref in configuration.secret_refs():
        if ref.env is not None and not environment.get(ref.env):
            continue
        try:
            resolve(ref, environment)
        except SecretError as error:
            yield warning_at(keys, str(error))


def _write_lines(
    file: Path, problems: Sequence[Problem], counts: Mapping[str, int] | None, *, is_good: bool, is_base: bool
) -> None:
    for problem in problems:
        sys.stdout.write(f"{file}: {problem}\n")
    if counts is not None:
        sys.stdout.write(f"{file}: ok: {', '.join(_counted(name, count) for name, count in counts.items())}\n")
    elif is_good:
        alone = "could" if is_base else "could not"
        sys.stdout.write(f"{file}: ok: what a gateway reads of it; this host {alone} serve base without a snapshot\n")


def _counts(configuration: Configuration) -> dict[str, int]:
    return {name: len(getattr(configuration, name)) for name in _COUNTED}


def _counted(plural: str, count: int) -> str:
    return f"{count} {plural.removesuffix('s') if count == 1 else plural}"
