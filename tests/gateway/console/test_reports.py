from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.console.control import Control
from gateway.console.narrowing import Asked
from gateway.console.reports import Reports
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
            reports.compare(Asked(rollout="three"))

        assert [reports.compare(Asked(rollout=name)).rollout for name in ("one", "second")] == ["one", "two"]
