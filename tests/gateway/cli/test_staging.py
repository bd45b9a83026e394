from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.staging import configuration, installed
from gateway.settings.load import load_checked
from gateway.simulate.stories import STORIES


def test_the_demonstrations_configuration_is_right_and_its_plan_warns_of_nothing(tmp_path: Path):
    path = tmp_path / "turnout.toml"
    path.write_text(configuration("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"))

    _, warnings = load_checked(path, None)

    assert not warnings


def test_a_simulated_model_that_does_not_start_is_said_with_its_reason(tmp_path: Path):
    (tmp_path / "base.log").mkdir()

    with pytest.raises(OSError, match=r"base\.log"), installed(tmp_path, STORIES["equal"]):
        pass
