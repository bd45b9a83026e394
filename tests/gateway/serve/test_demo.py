from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.serve.demo import BASE, CANDIDATE, ROLLOUT, configuration
from gateway.settings.load import load_checked
from gateway.simulate.config import load as load_simulation
from gateway.simulate.demo import SIMULATIONS


def test_the_demonstrations_configuration_is_served_without_a_warning(tmp_path: Path):
    path = tmp_path / "turnout.toml"
    path.write_text(configuration(1234, 5678))

    definitions, warnings = load_checked(path, set())

    assert warnings == ()
    assert definitions.rollouts[ROLLOUT].base == BASE
    assert definitions.rollouts[ROLLOUT].candidate == CANDIDATE
    assert {one.base_url for one in definitions.upstreams.values()} == {
        "http://127.0.0.1:1234/v1",
        "http://127.0.0.1:5678/v1",
    }


@pytest.mark.parametrize(("name", "model", "port"), [("base", BASE, 1), ("candidate", CANDIDATE, 2)])
def test_each_model_of_the_rollout_is_simulated_at_its_own_port(tmp_path: Path, name: str, model: str, port: int):
    path = tmp_path / "simulation.toml"
    path.write_text(SIMULATIONS[name])
    written = tomllib.loads(configuration(1, 2))

    assert list(load_simulation(path).models) == [model]
    assert written["upstreams"][written["models"][model]["upstream"]]["base_url"] == f"http://127.0.0.1:{port}/v1"
