from __future__ import annotations

import tomllib

from gateway.simulate.config import simulation
from gateway.simulate.demo import BASE_MODEL, CANDIDATE_MODEL, SIMULATIONS


def test_the_demonstrations_files_are_simulations_of_one_model_each():
    models = [list(simulation(tomllib.loads(text), source=arm).models) for arm, text in sorted(SIMULATIONS.items())]

    assert models == [[BASE_MODEL], [CANDIDATE_MODEL]]
