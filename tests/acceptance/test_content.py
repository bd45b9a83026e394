"""What people write is kept nowhere by default, and where an application keeps it, in one dataset alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.content import is_sampled
from analytics.journal.writer import SEGMENT_S
from tests.acceptance.callers import Answer, Caller
from tests.acceptance.harness import Installation, installed, until
from tests.fakes.parrot import repeating
from tests.fakes.upstream import serving

CONFIG = """
[server]
port = 0
console_port = 0
metrics_port = 0
workers = 2
[lake]
seal_every_s = 0.2
[logs]
level = "debug"
[upstreams.a]
base_url = "{a}/v1"
[models.base-model]
upstream = "a"
[applications.default]
[applications.kept]
content = "full"
[applications.some]
content = "sampled"
content_sample = 0.5
content_days = 7
"""
SILENT, SPOKEN = "canary-silent-81c2", "canary-spoken-81c2"


@dataclass(kw_only=True)
class Scene:
    """An installation with applications that keep nothing, everything and half."""

    one: Installation
    keys: dict[str, str] = field(default_factory=dict[str, str])

    def ask(self, application: str, canary: str, kind: str = "whole", **fields: Any) -> Answer:
        caller = Caller(self.one, self.keys[application])
        body = {"model": "base-model", "messages": [{"role": "user", "content": f"{canary} {kind}"}], **fields}
        answer = caller.post("/v1/chat/completions", {**body, "user": "ann"}, {})
        caller.close()
        return answer

    def say(self, application: str, request_id: str, comment: str) -> Answer:
        caller = Caller(self.one, self.keys[application])
        answer = caller.feedback(request_id=request_id, thumb="down", comment=comment)
        caller.close()
        return answer

    def contents(self) -> list[dict[str, Any]]:
        return parquet([*self.one.state_dir.glob("lake/content/*/*.parquet")])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with serving(repeating) as a, installed(tmp_path, config=CONFIG.format(a=a.url), simulated={}) as one:
        keys = {name: one.new_key(name) for name in ("kept", "some")}
        yield Scene(one=one, keys={"default": one.keys["application"], **keys})


def parquet(files: list[Path]) -> list[dict[str, Any]]:
    if not files:
        return []
    with duckdb.connect() as connection:
        answer = connection.read_parquet([str(path) for path in files], hive_partitioning=False)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def holding(folder: Path, word: str) -> list[str]:
    """Return the files in which a word stands, those of compressed columns too."""
    found: list[str] = []
    for path in folder.rglob("*"):
        try:
            held = repr(parquet([path])) if path.suffix == ".parquet" else path.read_text(errors="replace")
        except (FileNotFoundError, IsADirectoryError, OSError):
            continue
        if word in held:
            found.append(str(path.relative_to(folder)))
    return found


def test_what_people_write_is_nowhere_by_default_and_if_it_is_kept_in_one_dataset_alone(
    scene: Scene, tmp_path: Path
) -> None:
    answers: dict[str, Answer] = {}
    for application, canary in (("default", SILENT), ("kept", SPOKEN)):
        for kind in ("whole", "streamed", "page", "bad"):
            answers[f"{application} {kind}"] = scene.ask(application, canary, kind, stream=kind == "streamed")
        comment = scene.say(application, answers[f"{application} whole"].request_id, f"{canary} comment")
        assert (comment.status, comment.json["comment_kept"]) == (202, application == "kept")
        unknown = scene.ask(application, canary, model="nothing")
        assert unknown.status == 404
    until(lambda: len(scene.contents()) >= 9, "what is kept is in the lake", pause_s=0.2)
    scene.one.settle()
    rows = scene.contents()

    assert {row["application"] for row in rows} == {"kept"}
    assert len(rows) == 9
    assert [row["kind"] for row in rows].count("comment") == 1
    by_request = {(str(row["request_id"]), row["kind"]): row for row in rows}
    for kind in ("whole", "streamed", "page", "bad"):
        answer = answers[f"kept {kind}"]
        assert by_request[answer.request_id, "answer"]["body"] == answer.body
        assert SPOKEN.encode() in by_request[answer.request_id, "request"]["body"]
    records = scene.one.lake(f"FROM records WHERE request_id = '{answers['kept whole'].request_id}'")
    assert by_request[answers["kept whole"].request_id, "answer"]["user_hash"] == records[0]["user_hash"]
    assert holding(tmp_path, SILENT) == []
    assert all("/journal/" in path or "/content/" in path for path in holding(tmp_path, SPOKEN))
    assert {page.content_lost for page in scene.one.pages().values()} == {0}


def test_after_the_end_content_is_in_its_dataset_alone(tmp_path: Path) -> None:
    with serving(repeating) as a, installed(tmp_path, config=CONFIG.format(a=a.url), simulated={}) as one:
        scene = Scene(one=one, keys={"kept": one.new_key("kept")})
        answer = scene.ask("kept", SPOKEN)
        scene.say("kept", answer.request_id, SPOKEN)
        one.settle()

    found = holding(tmp_path, SPOKEN)
    assert found
    assert all(path.startswith("state/lake/content/expires=") for path in found)


def test_a_share_of_requests_is_sampled_both_sides_or_neither(scene: Scene) -> None:
    asked = {scene.ask("some", f"{SPOKEN}-{number}").request_id for number in range(40)}
    sampled = {request_id for request_id in asked if is_sampled(request_id, 0.5)}
    until(lambda: len(scene.contents()) >= 2 * len(sampled), "what is kept is in the lake", pause_s=0.2)
    scene.one.settle()
    rows = scene.contents()

    assert {(str(row["request_id"]), row["kind"]) for row in rows} == {
        (request_id, kind) for request_id in sampled for kind in ("request", "answer")
    }
    assert len(rows) == 2 * len(sampled)
    assert {(row["expires_at"] - row["captured_at"]).days for row in rows} <= {7}


def used_bytes(folder: Path) -> int:
    """Return what the files of a folder take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def used_cpu_s(one: Installation) -> float:
    """Return the processor time that both workers and the shipper have taken so far."""
    ticks = 0
    for child in ("worker-0", "worker-1", "shipper"):
        fields = Path(f"/proc/{one.pid(child)}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")
def test_content_leaves_the_journal_although_nothing_more_comes_and_the_rest_stays_as_it_is(scene: Scene):
    journal = scene.one.state_dir / "journal"
    for number in range(8):
        scene.ask("kept", f"{SPOKEN}-{number}")
    began = scene.one.settle()
    there = holding(journal, SPOKEN)
    until(lambda: not holding(journal, SPOKEN), "content is gone", within_s=SEGMENT_S + 30, pause_s=1)
    time.sleep(SEGMENT_S / 2 + 2)  # until the next segments are made ahead, as they are once
    files, bytes_before, cpu_before = sorted(journal.glob("*")), used_bytes(scene.one.state_dir), used_cpu_s(scene.one)
    time.sleep(SEGMENT_S)
    spent = used_cpu_s(scene.one) - cpu_before

    assert there
    assert sorted(journal.glob("*")) == files
    assert used_bytes(scene.one.state_dir) - bytes_before < 1024 * 1024
    assert spent < 0.2 * SEGMENT_S
    ended = scene.one.settle()
    assert (ended.records, ended.missing, ended.sound) == (began.records, 0, True)
    assert len(scene.contents()) == 16
