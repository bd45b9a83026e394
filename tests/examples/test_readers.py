"""pandas and Polars read an export and the lake itself, by the lines of docs/reading-the-lake.md."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import duckdb
import pytest

from gateway.cli import main
from tests.examples.stage import ROOT, RUN_S, readers_python
from tests.fakes.handmade_lake import HandmadeLake, record

PAGE = (ROOT / "docs/reading-the-lake.md").read_text()
DAY_US = 86_400_000_000
FACTS = """
SELECT count(*), count(DISTINCT request_id), sum(output_tokens), count(cost_usd), round(sum(cost_usd), 9),
       epoch_us(min(started_at)), epoch_us(max(started_at)), sum(percent)::DOUBLE
FROM read_parquet('{pattern}')
"""
PANDAS = """
import json, sys
import pandas as pd
for place in sys.argv[1:]:
    frame = pd.read_parquet(place)
    times = frame.started_at.astype("datetime64[us]").astype("int64")
    print(json.dumps([
        len(frame), frame.request_id.nunique(), int(frame.output_tokens.sum()), int(frame.cost_usd.count()),
        round(float(frame.cost_usd.sum()), 9), int(times.min()), int(times.max()), float(frame.percent.sum()),
        sorted({str(dict(tags)) for tags in frame.tags}),
    ]))
"""
POLARS = """
import json, sys
import polars as pl
for place in sys.argv[1:]:
    frame = pl.read_parquet(place + "/**/*.parquet")
    times = frame["started_at"].dt.epoch("us")
    print(json.dumps([
        len(frame), frame["request_id"].n_unique(), frame["output_tokens"].sum(), frame["cost_usd"].count(),
        round(frame["cost_usd"].sum(), 9), times.min(), times.max(), float(frame["percent"].sum()),
        sorted({str(dict(tags)) for tags in frame["tags"]}),
    ]))
"""
PLACES = ("export/requests", "lake/requests")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a compacted lake, and an export of it by date."""
    readers_python()
    folder = tmp_path_factory.mktemp("readers")
    lake = HandmadeLake(folder / "lake")
    for day in range(2):
        lake.put(
            [
                record(
                    number,
                    request_id=record(number + 1000 * day).request_id,
                    started_at=record(number).started_at + day * DAY_US,
                    application="shop",
                    model_served=("gpt-4o-mini", "tuned")[number % 2],
                    output_tokens=number,
                    cost_usd=None if number % 3 else number / 1000,
                    percent=12.5,
                    user_hash=bytes(16),
                    tags={"team": "a"},
                )
                for number in range(40)
            ]
        )
    feedback = {"feedback_id": "0199b0c0-0000-7000-8fff-000000000001", "application": "shop", "thumb": "up"}
    lake.put_feedback([{**feedback, "received_at": record(2).started_at, "request_id": record(1).request_id}])
    lake.compact()
    words = ["lake", "export", "--lake", str(lake.root), "--to", str(folder / "export"), "--by", "date"]
    assert main(words) == 0
    return folder


def printed(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [readers_python(), "-W", "error", "-c", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_a_reader_finds_the_figures_that_duckdb_finds(folder: Path, script: str):
    found = [json.loads(line) for line in printed(folder, script, *PLACES).splitlines()]

    with duckdb.connect() as connection:
        for place, told in zip(PLACES, found, strict=True):
            [expected] = connection.execute(FACTS.format(pattern=folder / place / "*/*.parquet")).fetchall()
            assert told == [*expected, ["{'team': 'a'}"]]
            assert expected[0] == 80


@pytest.mark.parametrize("tool", ["pandas", "Polars"])
def test_the_pages_lines_work_as_they_stand(folder: Path, tool: str):
    [lines] = re.findall(rf"^### {tool}\n\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    said = printed(folder, lines)

    assert "gpt-4o-mini" in said
    assert "40" in said


def test_duckdbs_line_counts_what_was_rated(folder: Path):
    [line] = re.findall(r"^### DuckDB\n\n```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with duckdb.connect() as connection:
        [found] = connection.execute(line.replace("'export/", f"'{folder}/export/")).fetchall()

    assert found[:2] == ("shop", 80)
    assert found[3] == 1


def test_by_hand_the_three_folders_together_have_each_request_once(folder: Path):
    [line] = re.findall(r"```sql\n(SELECT \* FROM read_parquet\(\['lake.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    there = re.sub(r"'lake/merged/\*-requests.parquet', ", "", line).replace("'lake/", f"'{folder}/lake/")
    with duckdb.connect() as connection:
        found = connection.execute(there).fetchall()

    assert len(found) == 80
