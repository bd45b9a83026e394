from __future__ import annotations

import re
from pathlib import Path

import pytest

from analytics.telemetry.names import INSTRUMENTS, SECONDS, TOKENS, USD, Instrument

PAGE = Path(__file__).parents[3] / "docs" / "telemetry.md"
WORDS = r"[a-z][a-z0-9_]*"


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda one: one.name)
def test_a_measure_is_documented_with_its_kind_and_labels(instrument: Instrument) -> None:
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{instrument.name}` |")]
    _, _, kind, labels, *_ = [cell.strip() for cell in row.split("|")]

    assert kind == instrument.kind
    assert tuple(re.findall(f"`({WORDS})`", labels)) == instrument.labels


def test_a_measure_that_is_documented_exists() -> None:
    documented = re.findall(rf"^\| `(turnout_{WORDS})` \|", PAGE.read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(instrument.name for instrument in INSTRUMENTS)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda one: one.name)
def test_a_name_says_its_kind_and_a_label_is_never_prometheus_own(instrument: Instrument) -> None:
    assert re.fullmatch(f"turnout_{WORDS}", instrument.name)
    assert instrument.name.endswith("_total") == (instrument.kind == "counter")
    assert bool(instrument.bounds) == (instrument.kind == "histogram")
    assert "le" not in instrument.labels


def test_buckets_are_those_of_the_conventions() -> None:
    assert SECONDS == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    assert TOKENS[:5] == (1, 4, 16, 64, 256)
    assert TOKENS[-1] == 67_108_864
    assert list(USD) == sorted(USD)
