from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from gateway.simulate.trace import SHIPPED, BadTraceError, Row, read

HEADING = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"


def test_the_shipped_trace_is_the_published_one_and_reads_whole():
    published = "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8"

    rows = read(SHIPPED)

    assert hashlib.sha256(gzip.decompress(SHIPPED.read_bytes())).hexdigest() == published
    assert len(rows) == 19_366
    assert rows[0] == Row(at_s=0.0, input_tokens=374, output_tokens=44)
    assert rows[-1].at_s == pytest.approx(3501.721937)
    assert sorted(row.input_tokens for row in rows)[len(rows) // 2] == 1020


def test_the_shipped_trace_carries_its_attribution_and_licence():
    text = (SHIPPED.parent / "README.md").read_text()

    assert "CC-BY 4.0" in text
    assert "Splitwise" in text
    assert SHIPPED.name in text


def test_a_plain_file_is_read_as_well_in_the_order_of_its_times(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(
        "GeneratedTokens,extra,TIMESTAMP,ContextTokens\n9,x,2026-01-01 00:00:02,7\n\n8,x,2026-01-01 00:00:00.5,6\n"
    )

    assert read(path) == [
        Row(at_s=0.0, input_tokens=6, output_tokens=8),
        Row(at_s=1.5, input_tokens=7, output_tokens=9),
    ]


def test_a_limit_takes_the_first_lines():
    assert len(read(SHIPPED, limit=10)) == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: no column TIMESTAMP and no ContextTokens and no GeneratedTokens; the first line must name"),
        ("TIMESTAMP,ContextTokens\r\n", "line 1: no column GeneratedTokens"),
        (HEADING, "has no rows"),
        (HEADING + "yesterday,1,2\r\n", "line 2, column TIMESTAMP: 'yesterday' is not a time; write YYYY-MM-DD"),
        (
            HEADING + "2026-01-01 00:00:00.0000000,1,2\r\n2026-01-01 00:00:00,many,2",
            "line 3, column ContextTokens: 'many' is not a number of tokens; write a whole number from 0",
        ),
        (HEADING + "2026-01-01 00:00:00,1,-2\r\n", "line 2, column GeneratedTokens: '-2' is not a number of tokens"),
        (HEADING + "2026-01-01 00:00:00,1,9999999\r\n", "column GeneratedTokens: '9999999' is not"),
        (HEADING + "2026-01-01 00:00:00,1\r\n", "line 2: has 2 of the heading's columns; complete or delete the line"),
        (HEADING + '2026-01-01 00:00:00,"1\r\n', "is not CSV"),
    ],
)
def test_a_bad_trace_is_refused_by_line_column_and_remedy(tmp_path: Path, content: str, said: str):
    path = tmp_path / "t.csv"
    path.write_text(content, newline="")

    with pytest.raises(BadTraceError) as caught:
        read(path)

    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"TIMESTAMP", mtime=0)[:-6], "is a damaged gzip file"),
        (b"\x1f\x8bnot gzip at all", "is a damaged gzip file"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(content)

    with pytest.raises(BadTraceError, match=said):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(BadTraceError, match="cannot be read"):
        read(tmp_path / "nowhere.csv")
