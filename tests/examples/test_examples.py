"""Every example runs as it is, with nothing but two variables in its environment, and prints what it promises."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.acceptance.harness import BASE, Installation
from tests.examples.stage import EXAMPLES, environment, langchain_python, node, node_folder, run, succeeded

ANSWERED = re.compile(rf"^{re.escape(BASE)}: \w", re.MULTILINE)


def test_the_python_example_asks_and_sends_a_thumb(one: Installation, tmp_path: Path):
    done = run([sys.executable, "-W", "error", str(EXAMPLES / "python/openai_chat.py")], one, tmp_path)

    printed = succeeded(done)
    assert ANSWERED.search(printed)
    assert "arm: base | request: " in printed
    assert printed.endswith("feedback: sent\n")


def test_the_python_stream_ends_with_a_rating(one: Installation, tmp_path: Path):
    done = run([sys.executable, "-W", "error", str(EXAMPLES / "python/openai_stream.py")], one, tmp_path)

    printed = succeeded(done)
    assert re.search(r"^\w.*\n+arm: base\n", printed)
    assert printed.endswith("feedback: sent\n")


def test_the_asynchronous_example_answers_every_user(one: Installation, tmp_path: Path):
    printed = succeeded(run([sys.executable, str(EXAMPLES / "python/openai_async.py")], one, tmp_path))

    assert [line.split(":")[0] for line in printed.splitlines()] == [
        f"{user} got {BASE}" for user in ("alice", "bob", "carol")
    ]


def test_the_langchain_example_chains_streams_and_calls(one: Installation, tmp_path: Path):
    printed = succeeded(run([langchain_python(), str(EXAMPLES / "python/langchain_chat.py")], one, tmp_path))

    assert ANSWERED.search(printed)
    assert "\narm: base\n" in printed
    assert printed.endswith("tool: look_up_price(plan, seats)\n")


def test_the_node_example_asks_streams_and_sends_a_thumb(one: Installation, tmp_path: Path):
    folder = node_folder(EXAMPLES / "node", tmp_path)
    done = run([node(), "openai_chat.mjs"], one, folder)

    printed = succeeded(done)
    assert ANSWERED.search(printed)
    assert "\narm: base\n" in printed
    assert printed.endswith("feedback: sent\n")


def test_the_vercel_example_writes_streams_orders_and_calls(one: Installation, tmp_path: Path):
    folder = node_folder(EXAMPLES / "node", tmp_path)

    printed = succeeded(run([node(), "vercel_ai.mjs"], one, folder))

    assert ANSWERED.search(printed)
    assert "\narm: base\n" in printed
    assert re.search(r'^order: \{"plan":".*","seats":-?\d+\}$', printed, re.MULTILINE)
    assert printed.endswith("tool: lookUpPrice(plan, seats)\n")


def test_the_curl_example_shows_the_headers_and_the_stream(one: Installation, tmp_path: Path):
    if not shutil.which("curl"):
        pytest.skip("not exercised: there is no curl here")

    printed = succeeded(run(["bash", str(EXAMPLES / "curl/chat.sh")], one, tmp_path))

    assert "x-turnout-arm: base" in printed
    assert "data: [DONE]" in printed
    assert printed.endswith("feedback: sent\n")


FOR_CLIENTS = [path for folder in ("browser", "curl", "node", "python") for path in EXAMPLES.glob(f"{folder}/*.*")]


@pytest.mark.parametrize("path", sorted(str(path.relative_to(EXAMPLES)) for path in FOR_CLIENTS))
def test_no_example_carries_an_address_or_a_key_of_ours(path: str):
    text = (EXAMPLES / path).read_text()

    assert "tn_app_" not in text
    assert not re.search(r"/v1\b", text) or path.endswith("package-lock.json")


def test_only_the_two_variables_are_set_for_an_example():
    assert {"OPENAI_BASE_URL", "OPENAI_API_KEY"} == {
        name for name in environment("here", "key") if name.startswith("OPENAI_")
    }
