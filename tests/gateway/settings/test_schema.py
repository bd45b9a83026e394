"""The schema, and the documentation that stands for it: every key has a row in the table of its section."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from analytics.pricing import Conditional, Price
from gateway.settings import plan_schema, schema

ROOT = Path(__file__).parents[3]
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "`[server]`": schema.Server,
    "`[lake]`": schema.Lake,
    "`[upstreams.NAME]`": schema.Upstream,
    '`[models."NAME"]`': schema.Model,
    "`price`": Price,
    "`price.when`": Conditional,
    "`[prices]`": schema.Prices,
    "`[rollouts.NAME]`": schema.RolloutDefinition,
    "Keys of a plan": plan_schema.PlanDefinition,
    "Steps": plan_schema.StepDefinition,
    "Freeze windows": plan_schema.FreezeDefinition,
    "`[applications.NAME]`": schema.Application,
    "Secrets": schema.SecretRef,
}


def rows(heading: str) -> dict[str, list[str]]:
    """Return the cells of a section's table of keys, by key."""
    text = (ROOT / "docs/configuration.md").read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/configuration.md has no section {heading}"
    table = found[1].partition("|---|---|---|---|\n")[2]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


def defaults() -> Iterator[tuple[str, str, object]]:
    for heading, struct in SECTIONS.items():
        for field in msgspec.structs.fields(struct):
            made = field.default_factory is not msgspec.NODEFAULT
            yield heading, field.encode_name, field.default_factory() if made else field.default


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_section_documents_its_keys_and_no_others(heading: str):
    assert rows(heading).keys() == set(SECTIONS[heading].__struct_fields__)


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_key_is_documented_with_type_default_and_meaning(heading: str):
    assert not {key: cells for key, cells in rows(heading).items() if len(cells) != 3 or not all(cells)}


@pytest.mark.parametrize(("heading", "key", "default"), list(defaults()))
def test_a_documented_default_is_the_default(heading: str, key: str, default: object):
    documented = rows(heading)[key][1]

    if default is msgspec.NODEFAULT:
        assert documented == "required"
    elif default is not None:
        value = tomllib.loads(f"value = {documented.strip('`')}")["value"]
        assert msgspec.convert(value, type(default)) == default
    else:
        assert documented not in {"required", ""}


def test_the_first_table_lists_every_section():
    text = (ROOT / "docs/configuration.md").read_text()

    assert re.findall(r"^\| `([a-z]+)` \| [^|]+ \|$", text, re.MULTILINE) == list(
        schema.Configuration.__struct_fields__
    )


def test_the_example_shows_every_key():
    example = (ROOT / "turnout.example.toml").read_text()
    keys = {key for struct in SECTIONS.values() for key in struct.__struct_fields__}

    assert not {key for key in keys if not re.search(rf"(?<![a-z_]){key}(?![a-z_])( =|\])", example)}


def test_every_section_refuses_unknown_keys():
    assert [struct for struct in SECTIONS.values() if not struct.__struct_config__.forbid_unknown_fields] == []


def test_every_reference_to_a_secret_is_found():
    configuration = schema.Configuration(
        upstreams={
            "a": schema.Upstream(base_url="https://a", api_key=schema.SecretRef(env="A")),
            "b": schema.Upstream(base_url="https://b"),
        },
        applications={"web": schema.Application(accept=(schema.SecretRef(env="B"), schema.SecretRef(file="/c")))},
    )

    assert list(configuration.secret_refs()) == [
        (("upstreams", "a", "api_key"), schema.SecretRef(env="A")),
        (("applications", "web", "accept", 0), schema.SecretRef(env="B")),
        (("applications", "web", "accept", 1), schema.SecretRef(file="/c")),
    ]


@pytest.mark.parametrize("header", ["", "X-User", "x user", "x-user\n", "x:y", "x" * 65])
def test_a_header_is_lower_case_and_one_line(header: str):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"user_header": header}, schema.Application)
