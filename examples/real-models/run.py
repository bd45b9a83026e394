"""A rollout between two real models: start two llama.cpp servers and Turnout, ask as twenty users, print the table.

make real-models                     (or: python examples/real-models/run.py --requests 60)
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI

HERE = Path(__file__).parent
ROLLOUT = "assistant"
PROMPTS = (
    "Tell me about the city of Lisbon.",
    "What does a railway switch do?",
    "Write a short letter to a customer whose parcel is late.",
    "Name three vegetables.",
)
READY_S = 120.0
TURNOUT = [sys.executable, "-m", "gateway"]


def main() -> None:
    """Play it."""
    parser = argparse.ArgumentParser(description="A rollout between two real models on this machine.")
    parser.add_argument("--requests", type=int, default=40, help="how many are asked; default: %(default)s")
    parser.add_argument("--users", type=int, default=20, help="by how many users; default: %(default)s")
    parser.add_argument("--tokens", type=int, default=24, help="of each answer, at most; default: %(default)s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="turnout-real-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        say("Starting two llama.cpp servers with Gemma 3 270M. It is a base model, which continues texts rather than")
        say("answer. Both have the same weights; the one called tuned samples more coldly.")
        base = stack.enter_context(model(folder, "gemma-base", 0.8))
        candidate = stack.enter_context(model(folder, "gemma-tuned", 0.2))
        configuration = (HERE / "turnout.toml").read_text()
        configuration = configuration.replace("BASE_PORT", base).replace("CANDIDATE_PORT", candidate)
        (folder / "turnout.toml").write_text(configuration)
        client = stack.enter_context(turnout(folder))
        command(folder, "rollout", "set", ROLLOUT, "50")
        ask(client, arguments.requests, arguments.users, arguments.tokens)
        command(folder, "report", "compare", ROLLOUT)


@contextlib.contextmanager
def model(folder: Path, name: str, temperature: float) -> Iterator[str]:
    """Run one model server; its port is given."""
    words = ["--name", name, "--weights", str(folder / "gemma.gguf"), "--temperature", str(temperature)]
    with (
        (folder / f"{name}.log").open("w") as log,
        running([sys.executable, str(HERE / "model_server.py"), *words], stderr=log) as process,
    ):
        address = awaited(process, "LISTEN ", log.name)
        say(f"  {name} answers at {address}/v1")
        yield address.rpartition(":")[2]


@contextlib.contextmanager
def turnout(folder: Path) -> Iterator[OpenAI]:
    """Run Turnout on the folder's configuration; a client with the first application key is given."""
    words = ["serve", "--config", str(folder / "turnout.toml"), "--state-dir", str(folder / "state")]
    with (
        (folder / "turnout.log").open("w") as log,
        running([*TURNOUT, *words, "--port", "0", "--console-port", "0"], stderr=log) as process,
    ):
        awaited(process, "Turnout is ready", log.name)
        address = json.loads((folder / "state" / "addresses.json").read_text())["gateway"]
        keys = (folder / "state" / "first-keys").read_text().split()
        key = next(word for word in keys if word.startswith("tn_app_"))
        say(f"  Turnout answers at {address}/v1")
        with OpenAI(base_url=f"{address}/v1", api_key=key, timeout=60, max_retries=0) as client:
            yield client


def ask(client: OpenAI, requests: int, users: int, tokens: int) -> None:
    """Ask one question after the other, every second one streamed, and count whom each was answered by."""
    arms: collections.Counter[str] = collections.Counter()
    for number in range(requests):
        asked = {
            "model": ROLLOUT,
            "messages": [{"role": "user", "content": PROMPTS[number % len(PROMPTS)]}],
            "max_tokens": tokens,
            "stream": number % 2 == 1,
            "extra_headers": {"x-user-id": f"user-{number % users:02}"},
        }
        answer = client.chat.completions.with_raw_response.create(**asked)
        parsed = answer.parse()
        if asked["stream"]:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in parsed if chunk.choices)
        else:
            text = parsed.choices[0].message.content or ""
        arm = answer.headers["x-turnout-arm"]
        if not arms[arm]:
            say(f"\n{answer.headers['x-turnout-model']} wrote: {' '.join(text.split())}")
        arms[arm] += 1
    say(
        f"\n{requests} requests of {users} users: " + ", ".join(f"{arm} {count}" for arm, count in sorted(arms.items()))
    )
    time.sleep(SEALED_AFTER_S)


SEALED_AFTER_S = 7.0
"""Records are readable for reports some five seconds after their requests."""


def command(folder: Path, *words: str) -> None:
    """Run one `turnout` command and show it."""
    say(f"\n$ turnout {' '.join(words)}")
    subprocess.run([*TURNOUT, *words, "--state-dir", str(folder / "state")], check=True)


@contextlib.contextmanager
def running(words: list[str], **streams: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program while the block lasts."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **streams,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def awaited(process: subprocess.Popen[str], beginning: str, log: str) -> str:
    """Return the rest of the first line that begins so."""
    given_up_at = time.monotonic() + READY_S
    for line in process.stdout or ():
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip()
        if time.monotonic() > given_up_at:
            break
    message = f"{process.args[1]} did not start; its log is {log}:\n{Path(log).read_text()[-2000:]}"  # type: ignore[index]
    raise SystemExit(message)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
