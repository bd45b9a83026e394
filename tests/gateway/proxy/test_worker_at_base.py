"""A fleet's worker that hears from nobody: not ready, then base for those whose keys are their own, then what comes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from analytics.journal.reader import SegmentReader
from analytics.record import Record
from gateway.console.installation import master_keys
from gateway.settings.last_good import LAKE_FOLDER, LastGood
from gateway.settings.schema import Application
from gateway.settings.snapshot import seal, unseal
from tests.fakes.configuration import CONFIG
from tests.fakes.plain import PLAIN
from tests.fakes.proxy import snapshot

PATIENCE_S = 30.0
SECRET = {"TURNOUT_SECRET": "a secret of the tests, long enough for them"}
OWN_KEY = "sk-what-they-send-today"
ACCEPT = """
[applications.shop]
user_header = "x-user-id"
accept = [{ env = "THEIR_KEY" }]
"""
ISSUED = "tn_app_0123456789ab_c2VjcmV0"


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.05)


@contextmanager
def worker(
    state_dir: Path, listener: socket.socket, text: str, patience_s: float = 0.2
) -> Iterator[subprocess.Popen[bytes]]:
    (state_dir / "turnout.toml").write_text(text)
    (state_dir / "run").mkdir()
    words = ["--name", "worker-0", "--fd", str(listener.fileno()), "--state-dir", str(state_dir)]
    words += ["--redis", '{"url": "redis://127.0.0.1:1"}', "--lake", str(state_dir / "lake")]
    words += ["--config", str(state_dir / "turnout.toml"), "--patience-s", str(patience_s)]
    with (state_dir / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.proxy", *words],
            pass_fds=[listener.fileno()],
            stderr=log,
            env={**os.environ, **SECRET, "THEIR_KEY": OWN_KEY},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ask(listener: socket.socket, key: str) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions",
        json={"model": "sales-companion"},
        headers={"authorization": f"Bearer {key}", "x-user-id": "ann"},
        trust_env=False,
        verify=PLAIN,
        timeout=PATIENCE_S,
    )


def records(state_dir: Path) -> list[Record]:
    found: list[Record] = []
    for path in sorted((state_dir / "journal").glob("*.segment")):
        with SegmentReader(path) as segment:
            found += [frame for _, frame in segment.frames() if isinstance(frame, Record)]
    return found


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


def test_base_is_served_by_the_hosts_own_file_until_a_snapshot_comes(tmp_path: Path, listener: socket.socket):
    with worker(tmp_path, listener, CONFIG + ACCEPT) as process:
        own, issued, unknown = (ask(listener, key) for key in (OWN_KEY, ISSUED, "sk-of-nobody"))

        keys = master_keys(tmp_path, SECRET, create=False)
        known = snapshot(applications={"shop": Application(user_header="x-user-id")}, keys=())
        folder = tmp_path / "lake" / LAKE_FOLDER
        folder.mkdir(parents=True)
        sealed = seal(known, keys.snapshot)
        LastGood(folder, "console", partial(unseal, signing_key=keys.snapshot)).keep(sealed)
        until(lambda: ask(listener, ISSUED).status_code == 401)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0

    assert (own.status_code, own.json()["error"]["code"]) == (502, "upstream_error")
    assert (issued.status_code, issued.headers["retry-after"]) == (503, "1")
    assert unknown.status_code == 401
    [record] = [one for one in records(tmp_path) if one.application == "shop"]
    assert (record.rollout, record.model_served, record.arm_assigned) == ("sales-companion", "gpt", "base")
    assert (record.reason, record.config_source, record.snapshot_version) == ("default", "default", "0.0")
    assert (record.percent, record.generation, record.bucket) == (0.0, 0, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no upstream is configured"),
        (CONFIG, "no application of the file has `accept`"),
        (CONFIG + ACCEPT.replace("THEIR_KEY", "MISSING"), "MISSING is not set"),
        (CONFIG + '[models.other]\nupstream = "nobody"\n', "nobody"),
    ],
)
def test_without_one_it_ends_and_says_what_is_missing(tmp_path: Path, listener: socket.socket, text: str, said: str):
    with worker(tmp_path, listener, text) as process:
        assert process.wait(PATIENCE_S) == 1

    last: dict[str, Any] = json.loads((tmp_path / "worker.log").read_text().splitlines()[-1])
    assert (last["event"], said in last["reason"]) == ("worker cannot start", True), last["reason"]
    assert "Redis at 127.0.0.1:1 cannot be used" in last["reason"]


def test_while_it_waits_callers_are_told_so_and_a_snapshot_ends_it(tmp_path: Path, listener: socket.socket):
    with worker(tmp_path, listener, "", patience_s=60.0) as process:
        told = ask(listener, OWN_KEY)
        keys = master_keys(tmp_path, SECRET, create=False)
        folder = tmp_path / "lake" / LAKE_FOLDER
        folder.mkdir(parents=True)
        sealed = seal(snapshot(applications={"shop": Application()}, keys=()), keys.snapshot)
        LastGood(folder, "console", partial(unseal, signing_key=keys.snapshot)).keep(sealed)
        until(lambda: ask(listener, ISSUED).status_code == 401)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0

    assert (told.status_code, told.headers["retry-after"], told.json()["error"]["code"]) == (503, "1", "overloaded")
