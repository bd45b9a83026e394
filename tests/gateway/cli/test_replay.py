from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.listening_gateway import Books, listening_gateway
from tests.fakes.upstream import serving

COMMAND = [sys.executable, "-m", "gateway"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    words = ["simulate", "--model", "sales-companion", "--ttft-ms", "0", "--ms-per-token", "0", "--json"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"]
        process.terminate()


def replay(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, "replay", *words], capture_output=True, text=True, check=False)


def test_the_shipped_trace_is_replayed_and_both_sides_agree(url: str, tmp_path: Path):
    simulated = httpx.URL(url).join("/simulate/")
    httpx.post(simulated.join("reset"))
    users_file = tmp_path / "users.jsonl"

    words = ["--url", url, "--speed", "max", "--limit", "300", "--users", "100", "--users-file", str(users_file)]
    done = replay(*words, "--json")

    summary = json.loads(done.stdout)
    counts = httpx.get(simulated.join("counts")).json()["models"]["sales-companion"]
    users = [json.loads(line) for line in users_file.read_text().splitlines()]
    assert (done.returncode, summary["failed"], summary["requests"]) == (0, 0, 300)
    assert (counts["answered"], counts["streamed"]) == (300, summary["streamed"])
    assert summary["users"] == len(users) == 100
    assert sum(user["requests"] for user in users) == 300
    assert {user["arm"] for user in users} == {"-"}
    assert summary["candidate_user_share"] is None


def test_the_closing_table_is_for_people(url: str):
    done = replay("--url", url, "--speed", "max", "--limit", "50", "--stream-share", "1")

    assert "50 of 2,000 (50 requests are too few for all)" in done.stdout
    assert "users on both arms" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("-")
    assert done.returncode == 0


def test_a_failed_request_is_exit_code_1_and_named_in_the_table(url: str):
    done = replay("--url", url, "--speed", "max", "--limit", "20", "--model", "unknown")

    assert done.returncode == 1
    assert "20 (404: 20)" in done.stdout


@pytest.mark.slow
def test_ctrl_c_says_how_far_it_came(url: str):
    words = ("replay", "--url", url, "--speed", "10", "--json")
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b" requests, " not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, b"")
    assert re.search(rb"turnout: broken off: [0-9,]+ of 19,366 requests were answered, [0-9,]+ of them failed\n", err)


def test_a_bad_trace_is_one_sentence_and_exit_code_2(url: str, tmp_path: Path):
    trace = tmp_path / "t.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2026-01-01 00:00:00,1,x\n")

    done = replay(str(trace), "--url", url)

    assert done.returncode == 2
    assert "line 2, column GeneratedTokens: 'x'" in done.stderr


def test_a_gateway_that_does_not_answer_is_one_sentence(tmp_path: Path):
    done = replay("--state-dir", str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith("turnout: no gateway is known")


@pytest.mark.parametrize(
    "words",
    [["--speed", "fast"], ["--stream-share", "1.5"], ["--users", "0"], ["--concurrency", "x"], ["--speed", "nan"]],
)
def test_a_wrong_option_is_refused(words: list[str]):
    done = replay(*words)

    assert done.returncode == 2
    assert f"argument {words[0]}" in done.stderr


def test_a_users_file_that_cannot_be_written_is_named(url: str, tmp_path: Path):
    done = replay("--url", url, "--limit", "1", "--users-file", str(tmp_path / "no" / "users"))

    assert done.returncode == 1
    assert "cannot be written" in done.stderr


def test_users_rate_what_they_read_and_the_summary_tells_how():
    books = Books()
    with serving(listening_gateway(books)) as gateway:
        words = ["--url", gateway.url, "--speed", "max", "--limit", "100", "--concurrency", "1", "--feedback", "0.6"]
        done = replay(*words, "--json")

    summary = json.loads(done.stdout)
    told, arm = summary["feedback"], summary["arms"][0]
    assert done.returncode == 0
    assert told["accepted"] == len(books.feedback) == told["requests"] + told["again"]
    assert 0 < told["late"] <= told["accepted"] - books.feedback_when_answered
    assert 40 <= told["requests"] <= 80
    assert (arm["opinions"], arm["liked"]) == (told["requests"], liked(books))
    for said in books.feedback:
        assert praised(said) is books.good[said["request_id"]]


def test_the_same_seed_says_the_same():
    said: list[list[dict[str, object]]] = []
    for seed in ("1", "1", "2"):
        books = Books()
        with serving(listening_gateway(books)) as gateway:
            words = ["--limit", "60", "--concurrency", "1", "--feedback", "0.5", "--seed", seed]
            assert replay("--url", gateway.url, "--speed", "max", *words).returncode == 0
        said.append(sorted(books.feedback, key=lambda one: (one["request_id"], str(one))))

    assert said[0] == said[1] != said[2]


def test_feedback_that_is_not_accepted_is_exit_code_1_and_named_in_the_table(url: str):
    done = replay("--url", url, "--speed", "max", "--limit", "20", "--feedback", "1")

    assert done.returncode == 1
    assert "(404: " in next(line for line in done.stdout.splitlines() if line.startswith("feedback failed"))
    assert "-: 100%" in next(line for line in done.stdout.splitlines() if line.startswith("answers that users liked"))


def praised(said: dict[str, Any]) -> bool:
    return said.get("thumb") == "up" or said.get("rating", 0) > 3


def liked(books: Books) -> int:
    return sum({one["request_id"]: praised(one) for one in books.feedback}.values())
