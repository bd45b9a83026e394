from __future__ import annotations

import pytest

from analytics.telemetry import conventions as named
from analytics.telemetry import names
from analytics.telemetry.conventions import metric_of, operation_of
from analytics.telemetry.names import INSTRUMENTS

GOLDEN = {
    "OPERATION": "gen_ai.operation.name",
    "PROVIDER": "gen_ai.provider.name",
    "REQUEST_MODEL": "gen_ai.request.model",
    "REQUEST_STREAM": "gen_ai.request.stream",
    "RESPONSE_ID": "gen_ai.response.id",
    "RESPONSE_MODEL": "gen_ai.response.model",
    "FINISH_REASONS": "gen_ai.response.finish_reasons",
    "TIME_TO_FIRST_CHUNK": "gen_ai.response.time_to_first_chunk",
    "INPUT_TOKENS": "gen_ai.usage.input_tokens",
    "OUTPUT_TOKENS": "gen_ai.usage.output_tokens",
    "CACHED_TOKENS": "gen_ai.usage.cache_read.input_tokens",
    "REASONING_TOKENS": "gen_ai.usage.reasoning.output_tokens",
    "ERROR_TYPE": "error.type",
    "FLAG_EVENT": "feature_flag.evaluation",
    "FLAG_KEY": "feature_flag.key",
    "FLAG_VARIANT": "feature_flag.result.variant",
    "FLAG_VALUE": "feature_flag.result.value",
    "FLAG_REASON": "feature_flag.result.reason",
    "FLAG_VERSION": "feature_flag.version",
    "FLAG_CONTEXT": "feature_flag.context.id",
}
"""As the conventions have them in October 2026."""


def test_names_are_the_conventions() -> None:
    assert {name: getattr(named, name) for name in GOLDEN} == GOLDEN


def test_metrics_have_the_conventions_names_units_and_attributes() -> None:
    split = ("turnout.rollout", "turnout.arm", "gen_ai.response.model", "turnout.purpose")

    assert metric_of(names.DURATION) == ("gen_ai.client.operation.duration", "s", (*split, "turnout.outcome"))
    assert metric_of(names.TTFT) == ("gen_ai.client.operation.time_to_first_chunk", "s", split)
    assert metric_of(names.TOKEN_USAGE) == ("gen_ai.client.token.usage", "{token}", (*split, "gen_ai.token.type"))
    assert metric_of(names.REQUESTS)[0] == "turnout.requests"
    assert metric_of(names.ERRORS) == (
        "turnout.errors",
        "1",
        ("turnout.rollout", "turnout.arm", "turnout.error_class"),
    )


def test_our_own_measures_have_the_unit_that_their_name_says() -> None:
    units = {metric_of(one)[0]: metric_of(one)[1] for one in INSTRUMENTS}

    assert units["turnout.snapshot_age_seconds"] == units["turnout.overhead_seconds"] == "s"
    assert units["turnout.shipper_waiting_bytes"] == "By"
    assert units["turnout.application_cost_usd"] == "{USD}"
    assert units["turnout.fallbacks"] == units["turnout.shipper_rows"] == "1"


def test_each_measure_is_pushed_under_a_name_of_its_own() -> None:
    assert len({metric_of(instrument)[0] for instrument in INSTRUMENTS}) == len(INSTRUMENTS)


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        ("chat.completions", "chat"),
        ("responses", "chat"),
        ("completions", "text_completion"),
        ("embeddings", "embeddings"),
        ("audio.speech", "audio.speech"),
        (None, "other"),
    ],
)
def test_an_endpoint_is_an_operation(endpoint: str | None, operation: str) -> None:
    assert operation_of(endpoint) == operation
