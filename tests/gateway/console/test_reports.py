from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.console.control import Control
from gateway.console.reports import Reports, parse_moment
from gateway.errors import BadRequestError, NotFoundError
from gateway.settings.schema import RolloutDefinition
from tests.fakes.console import SALES, definitions, opened


def test_a_lake_that_is_not_there_yet_has_a_report_without_figures(control: Control, tmp_path: Path):
    with closing(Reports(control, tmp_path / "lake")) as reports:
        found = reports.compare()

    assert (found.rollout, found.generation, found.base.requests) == (SALES, 1, 0)
    assert not (tmp_path / "lake").exists()


def test_among_several_rollouts_one_must_be_named(tmp_path: Path):
    one = RolloutDefinition(base="gpt", candidate="tuned")
    several = definitions(one=one, two=replace(one, flag="second"))
    with opened(tmp_path, several) as control, closing(Reports(control, tmp_path / "lake")) as reports:
        with pytest.raises(BadRequestError, match="name a rollout; the configured ones: one, two"):
            reports.compare()
        with pytest.raises(NotFoundError):
            reports.compare("three")

        assert [reports.compare("one").rollout, reports.compare("second").rollout] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T02:00:01.5+02:00", 1.5),
        ("1969-12-31", -86_400),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, seconds: float):
    assert parse_moment(text, "since") == seconds * 1e6
    assert parse_moment(None, "since") is None


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "2026-11-22T25:00", "1e9", "\ud800", "9999-99-99"])
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(BadRequestError, match="is no time"):
        parse_moment(text, "since")
