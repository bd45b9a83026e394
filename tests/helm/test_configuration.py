"""Turnout itself accepts every configuration that the chart writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.load import load_checked, load_process_settings
from tests.helm.chart import VALUES, manifests


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_turnout_accepts_what_the_chart_writes(values: Path, tmp_path: Path):
    found = manifests(values)
    containers = {
        volume["configMap"]["name"]: each["spec"]["template"]["spec"]["containers"][0]
        for each in found
        for volume in each.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", [])
        if "configMap" in volume
    }
    assert containers
    for each in (each for each in found if each["kind"] == "ConfigMap"):
        file = tmp_path / f"{each['metadata']['name']}.toml"
        file.write_text(each["data"]["turnout.toml"])
        container = containers[each["metadata"]["name"]]
        load = load_process_settings if "gateway" in container["args"] else load_checked

        configuration, warnings = load(file, {variable["name"] for variable in container["env"]})

        assert configuration.server.workers
        assert not [warning for warning in warnings if "is not set" in str(warning)]
