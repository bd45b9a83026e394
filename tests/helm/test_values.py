"""Values: documented one by one, and a mistake in them is refused with a sentence that names its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.settings.schema import Configuration
from tests.helm.chart import CHART, MINIMAL, VALUES, from_yaml, template

[BUNDLED] = [path for path in VALUES if path.stem == "bundled"]
MISSPELT = {
    "mode=cluster": "at '/mode': value must be one of 'single', 'fleet'",
    "gateway.worker=2": "at '/gateway': additional properties 'worker' not allowed",
    "gateway.workers=two": "at '/gateway/workers': got string, want integer",
    "gateway.service.type=Cluster": "at '/gateway/service/type': value must be one of 'ClusterIP'",
    "config.upstream.x.base_url=http://x": "at '/config': additional properties 'upstream' not allowed",
    "config.upstreams.own.base_url=api.openai.com": "at '/config/upstreams/own/base_url': 'api.openai.com' does",
    "config.upstreams.openai.api_key=sk-1": "at '/config/upstreams/openai/api_key': got string, want object",
    "config.lake.access_key_id=sk-1": "at '/config/lake/access_key_id': got string, want object",
    "config.models.x.idle_timeout_s=1": "at '/config/models/x': missing property 'upstream'",
    "secret.value=abc": "at '/secret': additional properties 'value' not allowed",
    "secretEnv.OTHER=sk-1": "at '/secretEnv/OTHER': got string, want object",
    "console.persistence.size=20GB": "at '/console/persistence/size': '20GB' does not match",
    "image.digest=abc": "at '/image/digest'",
}
"""What the schema sees; it names all at once."""
CONTRADICTIONS = {
    "config.server.port=1": "config.server.port is set by the chart; take it out",
    "config.server.workers=1": "config.server.workers is set by the chart; use the value gateway.workers",
    "config.upstreams.openai.api_key.env=OTHER": "names the variable OTHER, which nothing sets; add it to secretEnv",
    "config.applications.web.accept[0].env=OTHER": "config.applications.web.accept[0] names the variable OTHER",
    "config.applications.web.accept[0].file=/run/secrets/own/key": "add its Secret to secretFiles",
    "config.upstreams.openai.api_key.env=sk-1": "config.upstreams.openai.api_key names no variable (A-Z, 0-9, _)",
    "config.lake.url=/var/lake": "config.lake.url names a directory, and a pod has none that lasts",
    "config.lake.access_key_id.env=OTHER": "config.lake.access_key_id names the variable OTHER",
    "config.server.metrics_port=1": "config.server.metrics_port is set by the chart; take it out",
    "config.telemetry.otlp_headers.x.env=OTHER": "config.telemetry.otlp_headers.x names the variable OTHER",
    "metrics.serviceMonitor.enabled=true": "metrics.serviceMonitor has nothing to scrape; set metrics.enabled",
    "config.models.x.upstream=nobody": "config.models.x.upstream is nobody, which is not in config.upstreams",
    "config.rollouts.sales-companion.base=gone": "config.rollouts.sales-companion.base is gone, which is not in",
    "extraEnv[0].name=TURNOUT_SECRET,extraEnv[0].value=sk-1": "extraEnv sets TURNOUT_SECRET, which comes from the Sec",
    "redis.bundled.enabled=true": "redis.bundled.enabled is of a fleet; write mode: fleet",
    "gateway.replicas=2": "mode single is one pod, and gateway.replicas is 2; write mode: fleet",
    "mode=fleet": "mode fleet works through Redis; set redis.url, or redis.bundled.enabled",
    "mode=fleet,redis.bundled.enabled=true": "set redis.users.gateway.password.name to a Secret",
    "mode=fleet,redis.url=redis://user:sk-1@host": "redis.url carries a user or a password",
    "mode=fleet,redis.url=host:6379": "redis.url is no address of a Redis; write redis://",
    "mode=fleet,redis.bundled.enabled=true,redis.url=redis://x": "name two of them; take one off",
}
"""What only the templates see."""


def test_every_misspelt_value_is_refused_with_its_place():
    done = template(MINIMAL, words=tuple(word for mistake in MISSPELT for word in ("--set", mistake)))

    assert done.returncode != 0
    assert not [sentence for sentence in MISSPELT.values() if sentence not in done.stderr], done.stderr
    assert "sk-1" not in done.stderr


@pytest.mark.parametrize("mistake", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_a_sentence(mistake: str):
    done = template(MINIMAL, words=("--set", mistake))

    assert done.returncode != 0
    assert CONTRADICTIONS[mistake] in done.stderr
    assert "sk-1" not in done.stderr


OF_A_FLEET = {
    "gateway.autoscaling.enabled=true,gateway.autoscaling.minReplicas=11": "minReplicas (11) is above maxReplicas (10)",
    "redis.bundled.maxmemory=256mb": "redis.bundled.maxmemory (256mb) is not below its memory limit (256Mi)",
    "redis.bundled.maxmemory=1gb,redis.bundled.resources.limits.memory=0.5Gi": "not below its memory limit (0.5Gi)",
    "lake.persistence.accessModes={ReadWriteOnce}": "lake.persistence.accessModes lacks ReadWriteMany",
    "config.redis.ca_file=/etc/ca.pem": "config.redis.ca_file is for rediss://",
}
FITTING = (
    "lake.persistence.accessModes={ReadWriteOnce},gateway.replicas=1",
    "lake.persistence.accessModes={ReadWriteOnce},lake.persistence.existingClaim=ours",
    "redis.bundled.maxmemory=2gb,redis.bundled.resources.limits.memory=null",
    "gateway.autoscaling.minReplicas=11",
)


@pytest.mark.parametrize("mistake", OF_A_FLEET)
def test_a_contradiction_within_a_fleet_is_refused_with_a_sentence(mistake: str):
    done = template(BUNDLED, words=("--set", mistake))

    assert done.returncode != 0
    assert OF_A_FLEET[mistake] in done.stderr


@pytest.mark.parametrize("values", FITTING)
def test_what_fits_together_in_a_fleet_is_not_refused(values: str):
    done = template(BUNDLED, words=("--set", values))

    assert done.returncode == 0, done.stderr


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
    written = {place: told.strip("`") for place, told in rows.items() if told.startswith("`")}
    [told] = from_yaml("\n".join(f"{place}: {default}" for place, default in written.items()))
    assert told == {place: default_at(values, place) for place in written}


def default_at(values: dict[str, Any], place: str) -> Any:
    for key in place.split("."):
        values = values[key]
    return values


def test_the_schema_knows_no_table_that_the_configuration_has_not():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]

    assert schema.keys() <= {field.name for field in msgspec.structs.fields(Configuration)}
    for table in ("upstreams", "models", "rollouts", "applications"):
        [kind] = [field.type for field in msgspec.structs.fields(Configuration) if field.name == table]
        known = {field.name for field in msgspec.structs.fields(kind.__args__[1])}
        assert schema[table]["additionalProperties"]["properties"].keys() <= known
