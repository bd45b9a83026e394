"""Everything a person can set, call or type is documented: settings, commands and routes."""

from __future__ import annotations

import argparse
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gateway.cli import parser
from gateway.console.app import create_app
from gateway.settings.schema import Configuration

DOCS = Path(__file__).parent.parent / "docs"


def structs_in(annotation: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for part in typing.get_args(annotation):
        yield from structs_in(part)


def sections(struct: type[msgspec.Struct], seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    """Yield a struct and every struct that its fields can hold."""
    if struct in seen:
        return
    seen.add(struct)
    yield struct
    for annotation in typing.get_type_hints(struct).values():
        for inner in structs_in(annotation):
            yield from sections(inner, seen)


def commands(root: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield every command that can be typed, without those that only hold sub-commands."""
    below = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse lists its parts nowhere else
    if not below:
        yield root
    for action in below:
        for child in dict.fromkeys(action.choices.values()):
            yield from commands(child)


def options(command: argparse.ArgumentParser) -> list[str]:
    named = [action for action in command._actions if action.option_strings and action.dest != "help"]  # noqa: SLF001 - as above
    return [action.option_strings[-1] for action in named if action.help != argparse.SUPPRESS]


@pytest.mark.parametrize("struct", list(sections(Configuration, set())))
def test_a_table_of_settings_documents_exactly_the_keys_there_are(struct: type[msgspec.Struct]):
    parts = re.split(r"^#+ ", (DOCS / "configuration.md").read_text("utf-8"), flags=re.MULTILINE)
    documented = [set(re.findall(r"^\| `([a-z0-9_]+)` \|", part, re.MULTILINE)) for part in parts]
    keys = {field.encode_name for field in msgspec.structs.fields(struct)}

    nearest = max(documented, key=lambda rows: len(rows & keys) - len(rows - keys))
    assert nearest == keys


def test_every_command_has_its_part_in_the_documentation():
    headings = re.findall(r"^#+ `(.*?)`", (DOCS / "cli.md").read_text(), re.MULTILINE)
    documented = {re.split(r" [A-Z\[<-]", heading)[0] for heading in headings}
    typed = {re.split(r" [A-Z\[<-]", command.prog)[0] for command in commands(parser())}

    assert typed - documented == set()
    assert documented - typed == set()


def test_every_option_is_documented_under_its_command():
    parts = re.split(r"^#+ `", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    missing = [
        f"{command.prog} {option}"
        for command in commands(parser())
        for option in options(command)
        if not any(part.startswith(command.prog) and f"`{option}" in part for part in parts)
        and f"`{option}" not in parts[0]
    ]

    assert not missing


def console_routes() -> Iterator[tuple[str, str]]:
    """Yield method and path of every route in the console's own description."""
    description = create_app(
        cast("Any", SimpleNamespace(keys=None)), cast("Any", None), cast("Any", None)
    ).openapi_schema.to_schema()
    for path, methods in description["paths"].items():
        for method in methods:
            yield method.upper(), path


@pytest.mark.parametrize("route", [f"{method} {path}" for method, path in console_routes()])
def test_a_route_of_the_console_is_documented(route: str):
    method, _, path = route.partition(" ")
    lines = (DOCS / "http-api.md").read_text().splitlines()

    assert [line for line in lines if method in line and re.search(re.escape(path) + r"(?![/{\w])", line)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/feedback",
        "/v1/models",
        "/v1/models/{id}",
        "/ofrep/v1/evaluate/flags",
        "/ofrep/v1/evaluate/flags/{key}",
        "/healthz",
        "/readyz",
        "/api/v1/openapi.json",
    ],
)
def test_a_route_outside_that_description_is_documented(path: str):
    assert re.search(re.escape(path) + r"(?![/{\w])", (DOCS / "http-api.md").read_text())
