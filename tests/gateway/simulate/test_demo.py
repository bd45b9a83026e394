from __future__ import annotations

import tomllib

from gateway.simulate.config import simulation
from gateway.simulate.demo import BASE_MODEL, CANDIDATE_MODEL, SIMULATIONS


def test_the_demonstrations_files_are_simulations_of_one_model_each():
    models = [list(simulation(tomllib.loads(text), source=arm).models) for arm, text in sorted(SIMULATIONS.items())]

    assert models == [[BASE_MODEL], [CANDIDATE_MODEL]]


def test_the_candidate_is_liked_better_and_slower_and_briefer():
    base, candidate = (
        simulation(tomllib.loads(SIMULATIONS[arm]), source=arm).models[model]
        for arm, model in (("base", BASE_MODEL), ("candidate", CANDIDATE_MODEL))
    )

    assert candidate.quality >= base.quality + 0.1
    assert candidate.length_factor < base.length_factor
    assert candidate.ttft_ms >= 1.2 * base.ttft_ms
    assert candidate.ms_per_token * candidate.length_factor >= 1.2 * base.ms_per_token
