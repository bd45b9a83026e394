"""A day's traffic at one percent and then at a higher one: nothing fails, nothing is lost, and the books balance."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.lake.directory import Directory
from gateway.settings.secrets import derived
from gateway.simulate.traffic import user_key
from rollout.bucket import bucket, threshold
from rollout.flag import user_hash
from tests.acceptance.harness import BASE, CANDIDATE, CONFIG, SECRET, Installation, installed, until
from tests.fakes.handmade_lake import compact
from tests.fakes.printed import lines_in, wrong_digits
from tests.fakes.recomputation import read_lake, recompute, recompute_satisfaction, same

log = logging.getLogger("acceptance")
PERCENTS = (10.0, 25.0)
BEHAVIOUR = """ttft_ms = 2
ms_per_token = 0.01
tokens_per_chunk = 32
cached_share = 0.2
reasoning_tokens = 2
"""
SIMULATED = {"base": f'[models."{BASE}"]\n{BEHAVIOUR}', "tuned": f'[models."{CANDIDATE}"]\n{BEHAVIOUR}'}
COUNTED = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What is left after the replays: each one's summary, the users' arms, and the salt that ops saw."""

    one: Installation
    rows: int
    users: int
    salt: str
    summaries: list[dict[str, Any]]
    arms: list[dict[str, Counter[str]]]


def replay(one: Installation, rows: int, users: int) -> tuple[dict[str, Any], dict[str, Counter[str]]]:
    """Send the trace's first rows; return the command's summary and each user's arms."""
    path = one.folder / "users.ndjson"
    limits = ["--limit", str(rows), "--users", str(users), "--max-prompt-bytes", "512"]
    pace = ["--speed", "max", "--concurrency", "24", "--feedback", "0.1"]
    done = one.turnout("replay", *limits, *pace, "--users-file", str(path), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    arms: dict[str, Counter[str]] = defaultdict(Counter)
    for line in map(json.loads, path.read_text().splitlines()):
        arms[line["user"]][line["arm"]] += line["requests"]
    return json.loads(done.stdout), arms


@pytest.fixture(
    scope="module",
    params=[(1_900, 200), pytest.param((19_366, 2_000), marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["a tenth", "the whole trace"],
)
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    rows, users = request.param
    with installed(tmp_path_factory.mktemp("replay"), config=CONFIG, simulated=SIMULATED) as one:
        runs: list[tuple[dict[str, Any], dict[str, Counter[str]]]] = []
        for percent in PERCENTS:
            one.set_percent(percent)
            runs.append(replay(one, rows, users))
        summaries, arms = zip(*runs, strict=True)
        one.settle()
        yield Replayed(
            one=one, rows=rows, users=users, salt=one.show()["salt"], summaries=list(summaries), arms=list(arms)
        )


def test_no_request_fails(replayed: Replayed):
    for summary in replayed.summaries:
        rate = f"{summary['requests_per_s']:.0f} requests/s"
        log.info("%d rows, %d users: %d failed, %s", replayed.rows, replayed.users, summary["failed"], rate)

    assert [(summary["requests"], summary["failed"]) for summary in replayed.summaries] == [(replayed.rows, 0)] * 2


def test_every_request_has_exactly_one_closed_record(replayed: Replayed):
    rows = replayed.one.lake(
        "SELECT outcome, count(*) AS records, count(DISTINCT request_id) AS ids, "
        "count(DISTINCT (worker, boot, seq)) AS places FROM records GROUP BY outcome",
        settled=False,
    )

    sent = 2 * replayed.rows
    assert rows == [{"outcome": "ok", "records": sent, "ids": sent, "places": sent}]


def test_the_models_counts_equal_the_lakes(replayed: Replayed):
    recorded = replayed.one.lake(
        "SELECT model_served AS model, count(*) AS requests, sum(input_tokens) AS input_tokens, "
        "sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, "
        "sum(reasoning_tokens) AS reasoning_tokens FROM records GROUP BY 1",
        settled=False,
    )
    counted = {model: counts for server in replayed.one.simulated.values() for model, counts in server.counts().items()}
    log.info("lake: %s", recorded)

    assert {row["model"] for row in recorded} == {BASE, CANDIDATE}
    for row in recorded:
        assert {name: row[name] for name in COUNTED} == {name: counted[row["model"]][name] for name in COUNTED}
        assert counted[row["model"]]["answered"] == row["requests"]


def test_every_cost_is_the_price_of_the_recorded_tokens(replayed: Replayed):
    wrong = replayed.one.lake(
        f"""
        WITH prices(model, input, cached, output) AS (
            VALUES ('{BASE}', 0.15, 0.075, 0.60), ('{CANDIDATE}', 0.30, 0.15, 1.20)
        )
        SELECT count(*) AS wrong FROM records JOIN prices ON model_served = model
        WHERE cost_usd IS NULL OR usage_source <> 'reported' OR abs(
            cost_usd - ((input_tokens - cached_tokens) * input + cached_tokens * cached + output_tokens * output) / 1e6
        ) > 1e-12
        """,
        settled=False,
    )

    assert wrong == [{"wrong": 0}]


def test_every_duration_makes_sense(replayed: Replayed):
    wrong = replayed.one.lake(
        """
        SELECT count(*) AS wrong FROM records
        WHERE NOT (overhead_ms >= 0 AND upstream_ms > 0 AND abs(latency_ms - upstream_ms - overhead_ms) < 1e-6)
        OR stream <> (ttft_ms IS NOT NULL) OR stream <> (output_ms IS NOT NULL)
        OR (stream AND NOT (ttft_ms > 0 AND output_ms >= 0 AND ttft_ms + output_ms <= latency_ms))
        """,
        settled=False,
    )

    assert wrong == [{"wrong": 0}]


def test_every_arm_recomputes_from_bucket_and_percent_and_every_bucket_from_salt_and_user_key(replayed: Replayed):
    rows = replayed.one.lake(
        "SELECT user_hash, bucket, percent::DOUBLE AS percent, arm_assigned, arm_served, model_served, reason, "
        "snapshot_version, user_source, count(*) AS times FROM records GROUP BY ALL",
        settled=False,
    )
    hash_key = derived(SECRET.encode()).user_hash
    keys = [user_key(user, replayed.users) for user in range(replayed.users)]
    buckets = {user_hash(hash_key, key.encode()): bucket(replayed.salt, key.encode()) for key in keys}

    assert {row["user_hash"] for row in rows} == set(buckets)
    for row in rows:
        arm = "candidate" if row["bucket"] < threshold(row["percent"]) else "base"
        assert row["bucket"] == buckets[row["user_hash"]]
        assert (row["arm_assigned"], row["arm_served"]) == (arm, arm)
        assert row["model_served"] == (CANDIDATE if arm == "candidate" else BASE)
        assert (row["reason"], row["user_source"]) == ("split", "user")
    assert len({(row["percent"], row["snapshot_version"]) for row in rows}) == len(PERCENTS)
    assert sum(row["times"] for row in rows) == 2 * replayed.rows


def test_nobody_moves_back_and_nobody_is_on_two_arms_at_one_percent(replayed: Replayed):
    first, second = ({user: set(arms) for user, arms in run.items()} for run in replayed.arms)

    assert len(first) == len(second) == replayed.users
    assert all(len(arms) == 1 for run in (first, second) for arms in run.values())
    assert not [user for user, arms in first.items() if arms == {"candidate"} and second[user] != {"candidate"}]


def test_the_candidates_share_of_users_is_within_three_sigma_of_the_percent(replayed: Replayed):
    for percent, run in zip(PERCENTS, replayed.arms, strict=True):
        share = sum("candidate" in arms for arms in run.values()) / len(run)
        expected = percent / 100
        sigma = math.sqrt(expected * (1 - expected) / len(run))
        log.info("%g %%: %.2f %% of users, %.2f sigma off", percent, share * 100, (share - expected) / sigma)

        assert abs(share - expected) <= 3 * sigma


def test_lake_verify_finds_it_sound(replayed: Replayed):
    done = replayed.one.turnout("lake", "verify", "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (found["sound"], found["records"], found["missing"]) == (True, 2 * replayed.rows, 0)
    assert (found["duplicate_request_ids"], found["duplicate_seqs"], found["quarantined"]) == (0, 0, 0)


def test_every_figure_of_the_reports_is_what_plain_python_makes_of_the_lakes_rows(replayed: Replayed):
    def counted() -> int:
        fates = json.loads(replayed.one.turnout("feedback", "count", "--json").stdout)
        return sum(fate["joined"] + fate["superseded"] for fate in fates)

    pieces = sum(summary["feedback"]["accepted"] for summary in replayed.summaries)
    until(lambda: counted() == pieces, "every rating in the lake", pause_s=0.5)
    rows, feedback = read_lake(replayed.one.state_dir / "lake")
    expected = recompute(rows, feedback, "sales-companion", 1)
    said = recompute_satisfaction(rows, feedback, "sales-companion")
    table, likes = (replayed.one.turnout("report", name) for name in ("compare", "satisfaction"))
    found = json.loads(replayed.one.turnout("report", "compare", "--json").stdout)

    assert not list(same(found, expected))
    assert {"output_token_ms", "error_rate", "cost_usd", "satisfaction"} < lines_in(table.stdout)
    assert not list(wrong_digits(table.stdout, expected))
    assert {"stars", "response_rate", "copied"} < lines_in(likes.stdout)
    assert not list(wrong_digits(likes.stdout, said))


def test_no_raw_user_key_and_no_salt_lies_in_the_state_directory(replayed: Replayed):
    name = user_key(0, replayed.users)
    files = [path for path in replayed.one.state_dir.rglob("*") if path.is_file()]
    told = f"records::VARCHAR LIKE '%{name}%' OR records::VARCHAR LIKE '%{replayed.salt}%'"

    assert replayed.one.lake(f"SELECT count(*) AS rows FROM records WHERE {told}", settled=False) == [{"rows": 0}]
    assert not [path.name for path in files if name.encode() in path.read_bytes()]
    salted = [path for path in files if replayed.salt.encode() in path.read_bytes()]
    assert {path.suffix for path in salted} <= {".snapshot", ".sqlite", ".sqlite-wal"}
    assert not [path.name for path in salted if path.stat().st_mode & 0o077]


def test_hourly_sums_of_the_compacted_lake_are_those_of_the_records(replayed: Replayed, tmp_path: Path):
    apart = "application, arm_assigned, arm_served, model_served, stream, outcome"
    expected = replayed.one.lake(
        f"""
        SELECT date_trunc('hour', started_at) AS hour, {apart}, count(*) AS requests, sum(input_tokens) AS input_tokens,
            sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
            round(sum(cost_usd), 9) AS cost_usd,
            count(ttft_ms) AS ttfts, round(sum(latency_ms), 3) AS latency_sum_ms
        FROM records GROUP BY ALL ORDER BY ALL
        """,
        settled=False,
    )
    shutil.copytree(replayed.one.state_dir / "lake", tmp_path / "lake")
    compact(Directory(tmp_path / "lake"), tmp_path, time.time_ns() // 1000 + 3 * 86_400_000_000)
    found = duckdb.execute(
        f"""
        SELECT hour, {apart}, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
            sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
            round(sum(cost_usd), 9) AS cost_usd,
            sum(ttfts) AS ttfts, round(sum(latency_sum_ms), 3) AS latency_sum_ms
        FROM read_parquet('{tmp_path}/lake/rollups/*/*.parquet', hive_partitioning = false) GROUP BY ALL ORDER BY ALL
        """
    )
    names = [column[0] for column in found.description]

    assert [dict(zip(names, row, strict=True)) for row in found.fetchall()] == expected
