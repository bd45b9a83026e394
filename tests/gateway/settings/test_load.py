"""Loading: a good file becomes a configuration, and every other file one clear answer."""

from __future__ import annotations

import os
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settings.check import check
from gateway.settings.load import from_tree, load, load_checked, load_process_settings
from gateway.settings.problem import SettingsError
from gateway.settings.schema import Configuration, SecretRef

GOOD = """
[upstreams.openai]
base_url = "https://api.openai.com/v1/"
api_key = { env = "OPENAI_API_KEY" }

[models."gpt-4o"]
upstream = "openai"
price = { input = 2.5, output = 10 }
"""


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "turnout.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_good_file_becomes_a_configuration(tmp_path: Path):
    configuration = load(written(tmp_path, GOOD))

    assert configuration.upstreams["openai"].api_key == SecretRef(env="OPENAI_API_KEY")
    assert configuration.models["gpt-4o"].total_timeout_s == 600
    assert configuration.server.port == 8080


def test_a_slash_at_the_end_of_base_url_is_taken_off(tmp_path: Path):
    assert load(written(tmp_path, GOOD)).upstreams["openai"].base_url == "https://api.openai.com/v1"


def test_an_empty_file_is_the_defaults(tmp_path: Path):
    assert load(written(tmp_path, "")) == Configuration()


def test_a_missing_file_says_how_to_begin(tmp_path: Path):
    assert refusal(tmp_path / "none.toml").startswith("there is no such file; write one (turnout.example.toml shows")


def test_a_directory_is_named_as_one(tmp_path: Path):
    assert refusal(tmp_path) == "this is a directory; name the file inside it"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path):
    path = tmp_path / "loop.toml"
    path.symlink_to(path)

    assert refusal(path).startswith("cannot be read: Too many levels of symbolic links; the user that runs Turnout")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_read_access_says_who_needs_it(tmp_path: Path):
    path = written(tmp_path, GOOD)
    path.chmod(0)

    assert refusal(path) == "cannot be read: Permission denied; the user that runs Turnout needs read access"


def test_a_path_with_a_null_character_is_no_path():
    assert refusal(Path("\x00")).startswith("cannot be read: not a path")


def test_invalid_utf_8_names_line_and_byte(tmp_path: Path):
    assert refusal(written(tmp_path, b"# caf\n# caf\xe9\n")) == "line 2: byte 0xe9 is not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf[server]\n", "[server]\n".encode("utf-16")])
def test_a_byte_order_mark_is_named(tmp_path: Path, content: bytes):
    assert refusal(written(tmp_path, content)) == "begins with a byte order mark; save it as UTF-8 without one"


def test_a_huge_file_is_not_read(tmp_path: Path):
    assert refusal(written(tmp_path, b"#" * 1_100_000)) == "is larger than 1048576 bytes; name a configuration file"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\nport 8080\n", "line 2, column 6: Expected '=' after a key in a key/value pair"),
        ("[server]\nhost = localhost\n", 'line 2, column 8: Invalid value; text stands in quotes: key = "value"'),
        ("[server]\nport =", "line 2, column 7: Invalid value"),
        ('[server]\nhost = "x', "line 2, column 10: Unterminated string"),
        (
            "[server]\n[server]\n",
            "line 2, column 8: Cannot declare ('server',) twice; each table and each key may stand",
        ),
        (
            "[server]\nport = 1\nport = 2\n",
            "line 3, column 9: Cannot overwrite a value; each table and each key may stand",
        ),
        (
            "[models.ft:gpt-4o]\n",
            """line 1, column 11: Expected ']' at the end of a table declaration; a name with ":" or "." stands""",
        ),
        ("x = 2024-02-30\n", "line 1, column 5: Invalid date or datetime"),
    ],
)
def test_a_syntax_error_names_line_and_column(tmp_path: Path, text: str, line: str):
    assert refusal(written(tmp_path, text)).startswith(line)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path):
    assert refusal(written(tmp_path, "x = " + "9" * 5000)).startswith("holds a number or a date that nobody can read")


def test_deep_nesting_is_refused(tmp_path: Path):
    assert refusal(written(tmp_path, "x = " + "[" * 100_000)).startswith("its tables or arrays are nested too deeply")


def test_every_difference_is_a_line_that_begins_with_the_file(tmp_path: Path):
    path = written(tmp_path, "[server]\nport = -1\nhots = 1\n")

    with pytest.raises(SettingsError) as caught:
        load(path)

    assert all(line.startswith(f"{path}: server") for line in str(caught.value).splitlines())
    assert len(caught.value.problems) == 2


def test_a_host_may_read_its_own_part_of_a_file_and_leave_the_definitions(tmp_path: Path):
    own = '[server]\nport = 1\n[redis]\nurl = "redis://cache"\npassword = { env = "REDIS_PASSWORD" }\n'
    wrong = '[models.gpt]\nupstream = "nobody"\n'

    configuration, problems = load_process_settings(written(tmp_path, own + wrong), set())

    assert (configuration.server.port, configuration.redis.url, configuration.models) == (1, "redis://cache", {})
    assert [problem.severity for problem in problems] == ["warning", "warning"]
    with pytest.raises(SettingsError, match="no scheme"):
        load_process_settings(written(tmp_path, '[redis]\nurl = "cache"\n'), set())


def test_a_checked_file_comes_with_its_warnings(tmp_path: Path):
    configuration, problems = load_checked(written(tmp_path, GOOD), set())

    assert "gpt-4o" in configuration.models
    assert [problem.severity for problem in problems] == ["warning"]


def test_a_file_that_contradicts_itself_is_refused_with_its_warnings(tmp_path: Path):
    with pytest.raises(SettingsError) as caught:
        load_checked(written(tmp_path, GOOD.replace('upstream = "openai"', 'upstream = "none"')), set())

    assert [problem.severity for problem in caught.value.problems] == ["error", "warning"]


NAMES = st.sampled_from(
    [
        *Configuration.__struct_fields__,
        "base_url",
        "api_key",
        "env",
        "upstream",
        "price",
        "input",
        "base",
        "accept",
        "x",
    ]
) | st.text(string.printable, max_size=5)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.times(), st.datetimes()
)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
    ),
    max_size=5,
)


@given(TREES)
def test_a_tree_of_any_shape_is_a_configuration_or_a_refusal(tree: dict[str, Any]):
    try:
        configuration = from_tree(tree, "t.toml")
    except SettingsError as error:
        lines = [str(problem) for problem in error.problems]
    else:
        lines = [str(problem) for problem in check(configuration, set())]

    assert all(line.isprintable() for line in lines)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=200)
def test_a_file_of_any_bytes_is_a_configuration_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    said = f"{path}: "
    try:
        load(path)
    except SettingsError as error:
        said = str(error)

    assert said.startswith(f"{path}: ")


SECRETS = st.text(string.ascii_letters + string.digits, min_size=12, max_size=60).map(lambda text: f"sEcReT{text}")


@given(secret=SECRETS, place=st.sampled_from(["api_key", "accept"]), form=st.integers(0, 6))
def test_what_stands_where_a_secret_belongs_is_never_printed(secret: str, place: str, form: int):
    forms: list[Any] = [
        secret,
        [secret],
        {"env": secret},
        {"file": secret},
        {"env": [secret]},
        {"value": secret},
        {"env": secret, "file": secret},
    ]
    value = forms[form]
    upstream = {"base_url": "https://x", **({"api_key": value} if place == "api_key" else {})}
    application = {"accept": [value]} if place == "accept" else {}
    try:
        problems = check(from_tree({"upstreams": {"u": upstream}, "applications": {"a": application}}, "t.toml"), set())
    except SettingsError as error:
        problems = error.problems

    assert problems
    assert not [problem for problem in problems if secret in str(problem)]
