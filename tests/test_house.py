"""The walls of the house: sizes, names, reasons, mirrored tests, clean locks and texts."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("analytics", "evaluation", "gateway", "rollout")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))

FILE_WALL = 300
FUNCTION_WALL = 40

FORBIDDEN = {"manager", "service", "helper", "processor", "util", "utils", "data", "info"}
FORBIDDEN |= {f"{word}s" for word in ("manager", "service", "helper", "processor")}
FORBIDDEN_STARTS = ("do_", "handle_")
FOREIGN_NAMES: dict[str, str] = {
    "data_received": "asyncio.Protocol's method",
    "data_version": "SQLite's pragma",
    "service_tier": "OpenAI's field of an answer",
    **dict.fromkeys(("do_GET", "do_HEAD", "handle_error"), "http.server's and socketserver's methods"),
    "data": "the argument in which Litestar hands over a body, and the key under which OpenAI lists",
}
"""Names that somebody else gave, and who."""

UNMIRRORED = {"acceptance", "bad_input", "benchmarks", "contracts", "examples", "fakes", "faults", "helm"}
UNMIRRORED |= {"transparency", "vectors"}
"""Folders of tests that follow a promise or a port instead of a source file."""

TESTED_ELSEWHERE: dict[str, str] = {}
"""Source files whose tests start whole processes, and where those stand."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def texts() -> list[Path]:
    """Return every text file that belongs to the project: what git keeps or would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the project's files are known to git alone, and this is no clone")
    files = [ROOT / line for line in listed.stdout.splitlines() if not line.endswith((".gz", ".png", ".ico"))]
    return [path for path in files if path.is_file()]


def test_no_source_file_is_longer_than_the_wall():
    lengths = {relative(path): len(path.read_text().splitlines()) for path in SOURCES + BENCHMARKS}

    assert not {path: length for path, length in lengths.items() if length > FILE_WALL}


def test_no_function_is_longer_than_the_wall():
    too_long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in SOURCES + BENCHMARKS
        for node in functions(path)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_WALL
    ]

    assert not too_long


def defined_names(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def test_no_name_says_nothing():
    empty_names = [
        f"{relative(path)}: {name}"
        for path in SOURCES + BENCHMARKS
        for name in defined_names(path)
        if name not in FOREIGN_NAMES and (words(name) & FORBIDDEN or name.startswith(FORBIDDEN_STARTS))
    ]

    assert not empty_names


def test_no_file_name_says_nothing():
    assert not [relative(path) for path in texts() if words(path.name.split(".")[0]) & FORBIDDEN]


def test_no_file_is_divided_by_banners():
    banner = re.compile(r"^\s*# ?[-=#*~]{3,}", re.MULTILINE)

    assert not [relative(path) for path in SOURCES + TESTS + BENCHMARKS if banner.search(path.read_text())]


def test_nothing_is_put_off_in_a_comment():
    later = re.compile("#.*(TO" + "DO|FIX" + "ME|XX" + "X)")

    assert not [relative(path) for path in SOURCES + TESTS + BENCHMARKS if later.search(path.read_text())]


def test_no_test_replaces_parts_of_the_product():
    patching = re.compile(r"unittest\.mo" + r"ck|from unittest import mo" + r"ck|monkeypatch\.(set|del)at" + "tr")

    assert not [relative(path) for path in TESTS if patching.search(path.read_text())]


def test_every_exception_to_a_rule_states_its_reason():
    exception = re.compile(r"# (noqa|pyright: ignore|type: ignore|pragma: no )(?!.* [-#] \S)")
    unexplained = [
        f"{relative(path)}:{number}"
        for path in SOURCES + TESTS + BENCHMARKS
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if exception.search(line) and not line.strip().startswith(("exception", "assert"))
    ]

    assert not unexplained


def test_every_ignored_lint_rule_states_its_reason():
    section = (ROOT / "pyproject.toml").read_text().split("[tool.ruff.lint]")[1].split("[tool.ruff.lint.pydocstyle]")[0]
    rules = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]

    assert rules
    assert not [line for line in rules if not re.search(r",\s+# \S", line)]


def has_logic(path: Path) -> bool:
    """Tell whether a file has a function that does anything, other than a Protocol's or an exception's."""

    def acts(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        last = node.body[-1]
        return not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant))

    return any(acts(node) for node in functions(path))


def mirrors(path: Path) -> list[Path]:
    """Return the test files of a source file: `test_x.py`, and `test_x_*.py` where one is not enough."""
    source = path.relative_to(ROOT)
    folder, stem = (source.parent.parent, source.parent.name) if path.stem == "__init__" else (source.parent, path.stem)
    home = ROOT / "tests" / folder
    stems = {stem, stem.strip("_")}
    return [test for name in stems for shape in ("", "_*") for test in home.glob(f"test_{name}{shape}.py")]


def test_every_source_file_with_logic_has_a_mirrored_test_file():
    untested = [
        relative(path)
        for path in SOURCES
        if has_logic(path) and not mirrors(path) and relative(path) not in TESTED_ELSEWHERE
    ]

    assert not untested


def test_every_test_file_mirrors_a_source_file():
    mirrored = {test for path in SOURCES for test in mirrors(path)}
    strays = [
        relative(path)
        for path in TESTS
        if path.parent != ROOT / "tests"
        and path.name.startswith("test_")
        and path.relative_to(ROOT / "tests").parts[0] not in UNMIRRORED
        and path not in mirrored
    ]

    assert not strays


def test_what_is_tested_elsewhere_is_still_there():
    assert not [source for source in TESTED_ELSEWHERE if not (ROOT / source).is_file()]
    assert not [test for test in TESTED_ELSEWHERE.values() if not (ROOT / test).exists()]


def test_no_test_folder_is_a_package():
    assert not [relative(path) for path in TESTS if path.name == "__init__.py"]


def test_every_gateway_module_that_calls_itself_pure_stands_in_a_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = [part for part in settings["tool"]["importlinter"]["contracts"] if part["id"].startswith("pure-")]
    listed = {module for contract in contracts for module in contract["source_modules"]}
    claimed = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "gateway").rglob("*.py")
        if re.search(r"\bPure\b", ast.get_docstring(tree(path)) or "")
    }

    assert claimed
    assert not claimed - listed


@pytest.mark.parametrize("name", ["", "-dev", "-helm", "-langchain", "-moto", "-readers", "-s3", "-simulate"])
def test_a_lock_has_hashes_and_names_no_place(name: str):
    lines = (ROOT / f"requirements{name}.lock").read_text().splitlines()

    assert not [line for line in lines if re.search(r"://|file:|index-url|find-links|trusted-host| @ |^-|/", line)]
    pins = [number for number, line in enumerate(lines) if re.match(r"[a-z0-9]", line)]
    assert pins
    assert not [lines[number] for number in pins if "--hash=sha256:" not in lines[number + 1]]


def test_no_text_names_a_place_on_a_developers_machine():
    place = re.compile("/wo" + "rk/|/ro" + "ot/|/Us" + r"ers/|/home/\w|/opt/py" + "pi")

    assert not [relative(path) for path in texts() if place.search(path.read_text(errors="replace"))]


def test_every_make_target_is_explained_to_contributors():
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    guide = (ROOT / "CONTRIBUTING.md").read_text()

    assert "test" in targets
    assert not [target for target in targets if target != "help" and f"make {target}" not in guide]
