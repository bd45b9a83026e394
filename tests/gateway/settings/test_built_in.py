from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.settings.built_in import NoBaseError, built_in
from gateway.settings.schema import Application, Configuration, Model, RolloutDefinition, SecretRef, Upstream

DEFINITIONS = Configuration(
    upstreams={"openai": Upstream(base_url="http://127.0.0.1:9")},
    models={"gpt": Model(upstream="openai"), "tuned": Model(upstream="openai")},
    rollouts={"sales": RolloutDefinition(base="gpt", candidate="tuned", also_for=("gpt",), salt="theirs")},
    applications={"shop": Application(accept=(SecretRef(env="OPENAI_API_KEY"),)), "other": Application()},
)


def test_every_rollout_is_at_base_and_older_than_any_ledgers():
    made = built_in(DEFINITIONS, 17)

    [(name, entry)] = made.rollouts.items()
    assert (name, entry.also_for, entry.flag.base, entry.flag.candidate) == ("sales", ("gpt",), "gpt", "tuned")
    assert (entry.flag.percent, entry.flag.generation, entry.flag.version) == (0.0, 0, 0)
    assert (made.order, made.is_built_in, made.keys, made.compiled_at) == ((0, 0), True, (), 17)
    assert not replace(made, epoch=1, version=1).is_built_in
    assert made.applications == DEFINITIONS.applications


def test_a_file_without_models_is_no_base_unless_an_upstream_takes_any():
    empty = replace(DEFINITIONS, models={}, rollouts={})

    with pytest.raises(NoBaseError, match=r"has no \[models\]"):
        built_in(empty, 0)
    anything = {"openai": Upstream(base_url="http://127.0.0.1:9", models="*")}
    assert built_in(replace(empty, upstreams=anything), 0).upstreams == anything


@pytest.mark.parametrize("applications", [{}, {"shop": Application()}])
def test_a_file_that_lets_nobody_in_is_no_base(applications: dict[str, Application]):
    with pytest.raises(NoBaseError, match="no application of the file has `accept`"):
        built_in(replace(DEFINITIONS, applications=applications), 0)
