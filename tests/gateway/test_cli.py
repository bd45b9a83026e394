from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from gateway.cli import COMMANDS, main, parser

STARTED = """
import sys
import gateway.cli.serve, gateway.serve.start
print(*{"litestar", "httpx", "redis", "duckdb", "opentelemetry", "gateway.cli.report"} & set(sys.modules))
import gateway.proxy.__main__
print(*{"httpx", "redis", "duckdb", "opentelemetry"} & set(sys.modules))
import gateway.console.__main__
print(*{"httpx", "redis", "opentelemetry"} & set(sys.modules))
"""


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    assert re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("argv", [[], ["fly"], ["rollout"], ["rollout", "set"], ["key", "create"]])
def test_a_wrong_command_line_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(argv)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: turnout")


def test_a_command_that_cannot_go_on_ends_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["rollout", "list", "--state-dir", str(tmp_path)]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("turnout: no ")
    assert len(said.err.splitlines()) == 1


def test_a_command_returns_its_own_exit_code(tmp_path: Path):
    empty = tmp_path / "turnout.toml"
    empty.write_text("rollouts = 1\n")

    assert main(["config", "check", str(empty)]) == 1


def test_every_command_knows_what_to_run():
    arguments = parser().parse_args(["lake", "verify"])

    assert callable(arguments.run)


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"turnout {version('turnout')}\n"


def test_a_host_without_a_fleet_and_webhooks_loads_no_library_for_them():
    """Every process of `turnout serve` pays for what it loads at each of its starts."""
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == []
