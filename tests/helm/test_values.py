"""Values: documented one by one, and a mistake in them is refused with a sentence that names its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.settings.schema import Configuration
from tests.helm.chart import CHART, MINIMAL, from_yaml, template

MISTAKES = {
    "gateway.worker=2": "at '/gateway': additional properties 'worker' not allowed",
    "gateway.workers=two": "at '/gateway/workers': got string, want integer",
    "gateway.service.type=Cluster": "at '/gateway/service/type': value must be one of 'ClusterIP'",
    "config.upstream.x.base_url=http://x": "at '/config': additional properties 'upstream' not allowed",
    "config.upstreams.openai.base_url=api.openai.com": "at '/config/upstreams/openai/base_url'",
    "config.upstreams.openai.api_key=sk-1": "at '/config/upstreams/openai/api_key': got string, want object",
    "config.models.x.idle_timeout_s=1": "at '/config/models/x': missing property 'upstream'",
    "config.server.port=1": "config.server.port is set by the chart; take it out",
    "config.server.workers=1": "config.server.workers is set by the chart; use the value gateway.workers",
    "config.upstreams.openai.api_key.env=OTHER": "names the variable OTHER, which nothing sets; add it to secretEnv",
    "config.applications.web.accept[0].env=OTHER": "config.applications.web.accept[0] names the variable OTHER",
    "config.applications.web.accept[0].file=/run/secrets/own/key": "add its Secret to secretFiles",
    "secret.value=abc": "at '/secret': additional properties 'value' not allowed",
    "secretEnv.OPENAI_API_KEY=sk-1": "at '/secretEnv/OPENAI_API_KEY': got string, want object",
    "console.persistence.size=20GB": "at '/console/persistence/size'",
    "image.digest=abc": "at '/image/digest'",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_place(mistake: str):
    done = template(MINIMAL, words=("--set", mistake))

    assert done.returncode != 0
    assert MISTAKES[mistake] in done.stderr
    assert "sk-1" not in done.stderr


def test_without_an_upstream_nothing_is_installed():
    assert "at '/config': missing property 'upstreams'" in template().stderr


def leaves(values: dict[str, Any], place: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value and key != "resources":
            yield from leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}"


def test_every_value_is_documented_with_its_default():
    [values] = from_yaml((CHART / "values.yaml").read_text())
    rows = dict(re.findall(r"^\| `([A-Za-z.]+)` \| (.*?) \|", (CHART / "README.md").read_text(), re.MULTILINE))

    assert set(rows) == set(leaves(values))
    for place, told in rows.items():
        default: Any = values
        for key in place.split("."):
            default = default[key]
        if told.startswith("`"):
            assert from_yaml(told.strip("`")) == ([default] if default else []), place


def test_the_schema_knows_no_table_that_the_configuration_has_not():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]

    assert schema.keys() <= {field.name for field in msgspec.structs.fields(Configuration)}
    for table in ("upstreams", "models", "rollouts", "applications"):
        [kind] = [field.type for field in msgspec.structs.fields(Configuration) if field.name == table]
        known = {field.name for field in msgspec.structs.fields(kind.__args__[1])}
        assert schema[table]["additionalProperties"]["properties"].keys() <= known
