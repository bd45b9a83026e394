from __future__ import annotations

import base64
import csv
import errno
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.content import Content
from analytics.lake.columns import CONTENT
from analytics.lake.delivery import Delivered, delivering, digest
from analytics.lake.directory import Directory
from analytics.lake.parquet import ParquetWriter, row
from analytics.lake.store import Access
from analytics.record import Attempt, Record
from analytics.warehouse import export as exporting
from analytics.warehouse.described import Form, Manifest
from analytics.warehouse.export import Asked, ExportError, export
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

FULL = Path("/dev/full")
DAY_US = 86_400_000_000
TEXT = 'a "quoted", comma\nand a line = €'


def piece(number: int, request: Record, **said: object) -> dict[str, object]:
    at = request.started_at + number * 1_000_000
    known = {"feedback_id": f"0199b0c0-0000-7000-8fff-{number:012x}", "received_at": at, "application": "shop"}
    return {**known, "request_id": request.request_id, **said}


def requests(count: int, **facts: object) -> list[Record]:
    return [record(number, application="shop", rollout="sales", **facts) for number in range(count)]


def exported(lake: HandmadeLake, folder: Path, **asked: Any) -> Manifest:
    told: list[tuple[str, int, int]] = []
    with delivering(str(folder), Access()) as delivery:
        made = export(
            Directory(lake.root),
            delivery,
            Asked(**asked),
            folder.parent / "spilled",
            at=AT_US,
            tell=lambda *step: told.append(step),
        )
    assert [step for step in told if step[1] == step[2]]
    return made


def rows(folder: Path, name: str = "requests") -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        answer = connection.sql(f"SELECT * FROM '{folder}/{name}/**/*.parquet' ORDER BY ALL")
        return [dict(zip(answer.columns, one, strict=True)) for one in answer.fetchall()]


def test_each_request_is_there_once_with_the_feedback_that_counts(lake: HandmadeLake, tmp_path: Path):
    some = requests(4, user_hash=bytes(range(16)), tags={"team": "a"}, cost_usd=0.25)
    lake.put(some)
    lake.put([*some[2:], record(9, application="desk")], worker="w1")
    lake.put_feedback(
        [
            piece(1, some[0], thumb="up"),
            piece(2, some[0], rating=2),
            piece(3, some[0], signal="edited"),
            piece(4, some[0], signal="copied"),
            piece(5, some[1], thumb="down", application="desk"),
        ]
    )
    made = exported(lake, tmp_path / "out")

    found = rows(tmp_path / "out")
    assert made.rows == {"requests": 5, "feedback": 5}
    assert sorted(one["request_id"] for one in found) == sorted(
        [*(one.request_id for one in some), record(9).request_id]
    )
    first = next(one for one in found if one["request_id"] == some[0].request_id)
    assert (first["feedback_thumb"], first["feedback_rating"]) == (None, 2)
    assert first["feedback_signals"] == ["copied", "edited"]
    assert (first["user_hash"], first["tags"], first["cost_usd"]) == (bytes(range(16)).hex(), {"team": "a"}, 0.25)
    assert [one for one in found if one["feedback_at"] is not None] == [first]
    fates = sorted(one["status"] for one in rows(tmp_path / "out", "feedback"))
    assert fates == ["foreign", "joined", "joined", "joined", "superseded"]


def test_the_manifest_names_every_file_with_its_digest_and_rows(lake: HandmadeLake, tmp_path: Path):
    lake.put(requests(3))
    exported(lake, tmp_path / "out")

    told = json.loads((tmp_path / "out/manifest.json").read_text())
    files = {one["name"]: one for one in told["files"]}
    there = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files.keys() == there - {"manifest.json"}
    assert {name: one["sha256"] for name, one in files.items()} == {n: digest(tmp_path / "out" / n) for n in files}
    assert files["requests/000001.parquet"]["rows"] == 3
    assert (told["turnout_export"], told["as_of"], told["rollout"]) == (1, AT_US, None)


def test_days_are_folders_where_that_is_wished(lake: HandmadeLake, tmp_path: Path):
    some = [record(0), record(1), record(0, request_id=record(5).request_id, started_at=AT_US + DAY_US)]
    lake.put(some)
    made = exported(lake, tmp_path / "out", by_date=True)

    assert [(one.name, one.rows) for one in made.files[:2]] == [
        ("requests/date=2026-09-21/000001.parquet", 2),
        ("requests/date=2026-09-22/000001.parquet", 1),
    ]


def test_days_are_put_together_up_to_a_files_measure():
    day = exporting.date(2026, 9, 21)
    days = [(day.replace(day=number), rows) for number, rows in ((1, 600_000), (2, 400_000), (3, 1), (4, 2_000_000))]

    made = exporting._slices(days, by_date=False)  # noqa: SLF001 - a million rows would take a minute to make

    assert [(one.first.day, one.last.day, one.rows) for one in made] == [
        (1, 2, 1_000_000),
        (3, 3, 1),
        (4, 4, 2_000_000),
    ]


def test_only_what_is_asked_for_is_exported(lake: HandmadeLake, tmp_path: Path):
    some = requests(4)
    other = record(8, application="desk", rollout="support")
    lake.put([*some, other])
    stray = {**piece(7, some[0], thumb="up"), "request_id": None, "response_id": "chatcmpl-nobody"}
    lake.put_feedback([piece(1, some[0], thumb="up"), piece(2, some[3], thumb="up"), stray])

    def ids(**asked: Any) -> tuple[int, list[str]]:
        folder = tmp_path / "-".join(asked)
        made = exported(lake, folder, **asked)
        return made.rows["feedback"], sorted(one["request_id"] for one in rows(folder))

    assert ids(rollout="support") == (0, [other.request_id])
    assert ids(application="desk") == (0, [other.request_id])
    assert ids(since=some[1].started_at, until=some[3].started_at) == (0, [one.request_id for one in some[1:3]])
    assert ids(rollout="sales", since=some[3].started_at) == (1, [some[3].request_id])
    assert ids(until=AT_US + DAY_US) == (3, sorted(one.request_id for one in [*some, other]))


def hostile() -> Record:
    tried = Attempt(arm="base", model=TEXT, upstream="u", status=None, error_class=None, upstream_ms=1.5)
    return record(1, application=TEXT, response_id="", tags={'k"': TEXT}, attempts=[tried], percent=12.5, stream=True)


def test_csv_is_read_back_as_it_was_written(lake: HandmadeLake, tmp_path: Path):
    lake.put([hostile()])
    exported(lake, tmp_path / "out", form="csv")

    with (tmp_path / "out/requests/000001.csv").open(newline="") as file:
        [found] = csv.DictReader(file)
    assert found["application"] == TEXT
    assert json.loads(found["tags"]) == {'k"': TEXT}
    assert json.loads(found["attempts"])[0]["model"] == TEXT
    assert found["started_at"] == "2026-09-21T14:13:21.000000Z"
    assert (found["rollout"], found["percent"], found["stream"]) == ("", "12.50", "true")
    assert ',"",' in (tmp_path / "out/requests/000001.csv").read_text()


def test_json_lines_are_read_back_as_they_were_written(lake: HandmadeLake, tmp_path: Path):
    lake.put([hostile()])
    exported(lake, tmp_path / "out", form="jsonl")

    [found] = [json.loads(line) for line in (tmp_path / "out/requests/000001.jsonl").read_text().splitlines()]
    assert (found["application"], found["tags"]) == (TEXT, {'k"': TEXT})
    assert (found["rollout"], found["response_id"], found["percent"]) == (None, "", 12.5)
    assert found["attempts"][0]["model"] == TEXT
    assert found["started_at"] == "2026-09-21T14:13:21.000000Z"


def keep(lake: HandmadeLake, bodies: Sequence[bytes]) -> None:
    folder = lake.lake.content_folder(exporting.date(2026, 10, 21))
    writer = ParquetWriter(lake.root / "scratch.ndjson", lake.lake.store)
    kept = [
        Content(
            kind="request",
            seq=number,
            application="shop",
            captured_at=AT_US,
            expires_at=AT_US + 30 * DAY_US,
            body=body,
            size_bytes=len(body),
            request_id=record(number).request_id,
        )
        for number, body in enumerate(bodies)
    ]
    writer.write(f"{folder}/w0-b1-000001-0-1.parquet", ("w0", "b1"), [row(one) for one in kept], CONTENT)
    writer.close()


def test_content_comes_along_only_when_it_is_asked_for(lake: HandmadeLake, tmp_path: Path):
    lake.put([*requests(2), record(9, application="desk")])
    keep(lake, [b"\x00secret", b"more"])

    assert "content" not in exported(lake, tmp_path / "without").rows
    assert exported(lake, tmp_path / "with", with_content=True).rows["content"] == 2
    assert exported(lake, tmp_path / "lines", with_content=True, form="jsonl").rows["content"] == 2
    assert exported(lake, tmp_path / "none", with_content=True, application="desk").rows["content"] == 0
    assert not [path for path in (tmp_path / "without").rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert sorted(one["body"] for one in rows(tmp_path / "with", "content")) == [b"\x00secret", b"more"]
    assert (tmp_path / "with/content/000001.parquet").stat().st_mode & 0o777 == 0o600
    [first, _] = sorted((tmp_path / "lines/content/000001.jsonl").read_text().splitlines())
    assert base64.b64decode(json.loads(first)["body"]) in (b"\x00secret", b"more")


def test_an_empty_lake_makes_files_without_rows(lake: HandmadeLake, tmp_path: Path):
    made = exported(lake, tmp_path / "out", with_content=True)

    assert made.rows == {"requests": 0, "feedback": 0, "content": 0}
    assert rows(tmp_path / "out") == []
    assert exported(lake, tmp_path / "days", by_date=True).rows["requests"] == 0


def test_a_compacted_lake_gives_the_same_rows(lake: HandmadeLake, tmp_path: Path):
    some = requests(50)
    lake.put(some[:30])
    lake.put(some[20:])
    lake.put_feedback([piece(1, some[0], thumb="up")])
    exported(lake, tmp_path / "before")
    lake.compact()
    exported(lake, tmp_path / "after")

    assert rows(tmp_path / "before") == rows(tmp_path / "after")
    assert len(rows(tmp_path / "after")) == 50


@pytest.mark.skipif(not FULL.exists(), reason="not exercised: there is no /dev/full here")
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_full_disk_is_no_lake_that_cannot_be_read(lake: HandmadeLake, tmp_path: Path, form: Form):
    class FullDisk:
        def add(self, name: str, fill: Callable[[Path], None], *, private: bool = False) -> Delivered:
            fill(FULL)
            return Delivered(name=f"{name}{private}", size_bytes=0, sha256="")

        def finish(self, name: str, manifest: bytes) -> None:
            pytest.fail(f"{name} is called whole, with {len(manifest)} bytes of manifest")

    lake.put(requests(3))
    with pytest.raises(OSError, match="No space left on device") as refused:
        export(Directory(lake.root), FullDisk(), Asked(form=form), tmp_path, at=AT_US, tell=lambda *_: None)
    assert refused.value.errno == errno.ENOSPC


def test_a_lake_that_cannot_be_read_exports_nothing(lake: HandmadeLake, tmp_path: Path):
    lake.put(requests(2))
    (lake.root / "incoming/w0-b1-000009-0-1.parquet").write_bytes(b"PAR1 and no more PAR1")

    with pytest.raises(ExportError, match="cannot be read"):
        exported(lake, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.unfinished").exists()
