"""Problems: one line each, safe to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.problem import Problem, SettingsError, dotted, error_at, nearest, quoted, shown, warning_at


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ((), ""),
        (("server", "port"), "server.port"),
        (("models", "gpt-4o", "price", "input"), 'models."gpt-4o".price.input'),
        (("upstreams", "a b"), 'upstreams."a b"'),
        (("applications", "web", "accept", 0), "applications.web.accept[0]"),
    ],
)
def test_a_path_reads_as_the_file_would_write_it(keys: tuple[str | int, ...], path: str):
    assert dotted(keys) == path


@given(st.text())
def test_quoted_text_is_one_line_that_prints(text: str):
    line = quoted(text)

    assert line.isprintable()
    assert line[0] == line[-1] == '"'


def test_long_text_is_cut_and_says_so():
    assert quoted("x" * 81) == f'"{"x" * 80}..."'
    assert shown("a. " * 100).endswith('..."')
    assert shown(10**90).endswith("...")


@pytest.mark.parametrize(
    ("value", "said"),
    [(True, "true"), (False, "false"), (1.5, "1.5"), ({}, "a table"), ([], "an array"), ("\x1b[0m", '"\\u001b[0m"')],
)
def test_values_are_shown_as_toml_has_them(value: object, said: str):
    assert shown(value) == said


def test_a_number_too_long_to_print_is_described():
    assert shown(10**5000) == "a number of thousands of digits"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc",
        "tn_app_0123456789ab_secret",
        "Bearer abc",
        "https://user:pass@host/v1",
        "https://host/v1?key=abc",
        "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Mw==",
    ],
)
def test_what_looks_like_a_credential_is_not_shown(secret: str):
    assert shown(secret) == f"(hidden, {len(secret)} characters)"


@pytest.mark.parametrize(
    "value", ["ft:gpt-4o-mini-2024-07-18:acme:sales-v2:abc123def", "https://host.internal:8443/v1"]
)
def test_model_names_and_addresses_are_shown(value: str):
    assert shown(value) == f'"{value}"'


def test_the_nearest_known_word_is_offered():
    assert nearest("candiate", ["base", "candidate"]) == '; did you mean "candidate"?'
    assert not nearest("colour", ["base", "candidate"])


def test_a_problem_is_a_line():
    assert str(error_at(("server", "port"), "is wrong")) == "server.port: is wrong"
    assert str(warning_at(("server",), "is odd")) == "warning: server: is odd"
    assert str(Problem(path="", message="is empty")) == "is empty"


def test_an_error_has_a_line_for_each_problem():
    error = SettingsError("t.toml", [error_at(("server",), "one"), error_at(("lake",), "two")])

    assert str(error) == "t.toml: server: one\nt.toml: lake: two"
    assert len(error.problems) == 2
