"""Each import contract catches its violations: copy the packages, plant bad imports, read the verdict."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "evaluation", "rollout", "analytics")

PLANTED = {
    "layers": [
        ("analytics.planted", "rollout.flag"),
        ("analytics.journal.planted", "gateway.errors"),
        ("rollout.planted", "evaluation.other"),
        ("rollout.stores.planted", "gateway.errors"),
        ("evaluation.planted", "gateway.errors"),
    ],
    "gateway-layers": [
        ("gateway.errors", "gateway.settings.schema"),
        ("gateway.settings.planted", "gateway.proxy.wire"),
        ("gateway.console.planted", "gateway.proxy.wire"),
        ("gateway.proxy.planted", "gateway.console.planted"),
        ("gateway.proxy.planted", "gateway.simulate.planted"),
        ("gateway.simulate.planted", "gateway.console.planted"),
        ("gateway.console.planted", "gateway.cli.table"),
    ],
    "pure-core": [
        ("analytics.pricing", "os"),
        ("analytics.planted", "socket"),
        ("rollout.flag", "random"),
        ("rollout.planted", "time"),
        ("evaluation.planted", "pathlib"),
        ("gateway.proxy.wire", "asyncio"),
        ("gateway.proxy.sse", "aiohttp"),
        ("gateway.proxy.exchange", "sqlite3"),
        ("gateway.settings.snapshot", "os"),
        ("analytics.record", "analytics.journal.planted"),
        ("analytics.journal.planted", "os"),
    ],
    "pure-simulation": [
        ("gateway.simulate.draw", "time"),
        ("gateway.simulate.words", "secrets"),
    ],
    "request-path": [
        ("gateway.proxy.planted", "duckdb"),
        ("gateway.proxy.planted", "analytics.warehouse.planted"),
        ("gateway.proxy.planted", "analytics.lake.planted"),
        ("gateway.proxy.planted", "gateway.console.planted"),
        ("gateway.proxy.planted", "evaluation.planted"),
        ("gateway.proxy.planted", "analytics.telemetry.planted"),
        ("analytics.telemetry.planted", "analytics.lake.other"),
    ],
    "one-home": [
        ("gateway.proxy.planted", "aiohttp"),
        ("gateway.console.planted", "duckdb"),
        ("gateway.proxy.planted", "httpx"),
        ("gateway.simulate.planted", "litestar"),
        ("analytics.planted", "mmh3"),
        ("evaluation.planted", "openai"),
        ("gateway.proxy.planted", "opentelemetry"),
        ("gateway.console.planted", "redis"),
        ("analytics.lake.planted", "requests"),
        ("gateway.settings.planted", "sqlite3"),
    ],
    "no-cycles": [
        ("rollout.planted", "rollout.other"),
        ("rollout.other", "rollout.planted"),
    ],
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a copy of the packages and of the contracts, to plant violations in."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(house: Path, module: str, line: str) -> None:
    """Add a line to a module, and make the module and its folders where they do not exist."""
    path = house.joinpath(*module.split(".")).with_suffix(".py")
    for folder in path.relative_to(house).parents[:-1]:
        (house / folder).mkdir(exist_ok=True)
        (house / folder / "__init__.py").touch()
    with path.open("a") as file:
        file.write(f"\n{line}\n")


def lint(house: Path, contract: str) -> tuple[int, str]:
    """Return the exit code and the words of import-linter about one contract."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache", "--contract", contract]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_contract_names_every_planted_violation(contract: str, house: Path):
    for importer, imported in PLANTED[contract]:
        plant(house, importer, f"import {imported}")
        if imported.split(".")[0] in PACKAGES:
            plant(house, imported, "")

    exit_code, words = lint(house, contract)

    assert exit_code == 1
    assert "1 broken" in words
    if contract == "no-cycles":
        assert "No cycles are allowed in rollout" in words
        return
    missing = [
        f"{importer} -> {imported}"
        for importer, imported in PLANTED[contract]
        if f"{importer} -> {imported} " not in words
    ]
    assert not missing, words


def test_a_new_file_at_the_top_of_gateway_must_be_given_a_layer(house: Path):
    plant(house, "gateway.planted", "")

    exit_code, words = lint(house, "gateway-layers")

    assert exit_code == 1
    assert "gateway.planted" in words


def test_every_contract_of_the_house_has_its_violations_planted_here():
    text = (ROOT / "pyproject.toml").read_text()

    assert re.findall(r'^id = "(.*)"$', text, re.MULTILINE) == list(PLANTED)
