"""The official client for Node.js and the Vercel AI SDK notice nothing but another address."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import CONFIG, SIMULATED, Installation, installed, until
from tests.examples.stage import ROOT, node, node_folder, run

SUITES = ("openai_node.mjs", "vercel_ai.mjs")
SLOW = "slow"
SLOW_MODEL = f"""
[models.{SLOW}]
ttft_ms = 1
ttft_sigma = 0
ms_per_token = 500
output_tokens = 240
"""


def names(suite: str) -> list[str]:
    return re.findall(r'^test\("(.*?)"', (ROOT / "tests/examples" / suite).read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    config = CONFIG + f'\n[models.{SLOW}]\nupstream = "base"\n'
    simulated = {**SIMULATED, "base": SIMULATED["base"] + SLOW_MODEL}
    with installed(tmp_path_factory.mktemp("node"), config=config, simulated=simulated) as installation:
        yield installation


@pytest.fixture(scope="module")
def results(one: Installation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the suites, and return what Node.js's test runner says of each test."""
    folder = node_folder(ROOT / "tests/examples", tmp_path_factory.mktemp("suites"))
    said: dict[str, str] = {}
    for suite in SUITES:
        done = run([node(), "--test-reporter=tap", suite], one, folder)
        for verdict, name in re.findall(r"^(ok|not ok) \d+ - (.*)$", done.stdout, re.MULTILINE):
            said[f"{suite}: {name}"] = "ok" if verdict == "ok" else f"{done.stdout}\n{done.stderr}"
    return said


@pytest.mark.parametrize("name", [f"{suite}: {name}" for suite in SUITES for name in names(suite)])
def test_a_client_in_javascript_is_answered_as_ever(name: str, results: dict[str, str]):
    assert results[name] == "ok"


def test_what_a_client_leaves_is_cancelled_at_the_model(one: Installation, results: dict[str, str]):
    assert results
    left = {"left-by-node", "aborted-by-node", "timed-out-by-node"}

    def cancelled() -> set[str]:
        return {gone["mark"] for gone in one.simulated["base"].cancelled()}

    until(lambda: left <= cancelled(), "all that was left is cancelled")
