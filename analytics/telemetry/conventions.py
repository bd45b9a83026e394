"""The names of OpenTelemetry's GenAI and feature-flag conventions, as literals: the only place that knows them.

Their status is *Development*: they are still being changed, and their packages rename constants. What is not in them is
`turnout.*`, and ours.
"""

from __future__ import annotations

from analytics.telemetry import names
from analytics.telemetry.names import Instrument

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
ERROR_TYPE = "error.type"
STATUS_CODE = "http.response.status_code"

FLAG_EVENT = "feature_flag.evaluation"
FLAG_KEY = "feature_flag.key"
FLAG_VARIANT = "feature_flag.result.variant"
FLAG_VALUE = "feature_flag.result.value"
FLAG_REASON = "feature_flag.result.reason"
FLAG_VERSION = "feature_flag.version"
FLAG_CONTEXT = "feature_flag.context.id"
FLAG_PROVIDER = "feature_flag.provider.name"

REQUEST_ID = "turnout.request_id"
APPLICATION = "turnout.application"
ENDPOINT = "turnout.endpoint"
ROLLOUT = "turnout.rollout"
PHASE = "turnout.phase"
PURPOSE = "turnout.purpose"
ARM_ASSIGNED = "turnout.arm_assigned"
ARM = "turnout.arm"
UPSTREAM = "turnout.upstream"
OUTCOME = "turnout.outcome"
FALLBACK_REASON = "turnout.fallback_reason"
COST = "turnout.cost_usd"
OVERHEAD = "turnout.overhead_ms"
ATTEMPT = "turnout.attempt"

OPENAI = "openai"
"""The provider whose interface is spoken, whoever answers."""
TURNOUT = "turnout"

OPERATIONS = {
    "chat.completions": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""The conventions' words by our endpoints' names; other endpoints go by their own."""

HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
"""OpenTelemetry's own: `name=value,name=value`, percent-encoded. They are secrets, and never on a command line."""
WHO, WHICH_VERSION, WHICH_INSTANCE = "service.name", "service.version", "service.instance.id"

METRICS: dict[Instrument, tuple[str, str, dict[str, str]]] = {
    names.DURATION: ("gen_ai.client.operation.duration", "s", {"model": RESPONSE_MODEL, "outcome": OUTCOME}),
    names.TTFT: ("gen_ai.client.operation.time_to_first_chunk", "s", {"model": RESPONSE_MODEL}),
    names.TOKEN_USAGE: (
        "gen_ai.client.token.usage",
        "{token}",
        {"model": RESPONSE_MODEL, "type": "gen_ai.token.type"},
    ),
    names.REQUESTS: ("turnout.requests", "{request}", {"model": RESPONSE_MODEL, "reason": FLAG_REASON}),
    names.COST: ("turnout.cost", "{USD}", {"model": RESPONSE_MODEL}),
}
"""Those of our measures that are told under the conventions' names, with unit, and what their labels are called."""


_UNITS = {"seconds": "s", "bytes": "By", "usd": "{USD}"}
"""Of our own measures, by the last word of their names."""


def metric_of(instrument: Instrument) -> tuple[str, str, tuple[str, ...]]:
    """Return name, unit and the labels' attributes under which a measure is pushed."""
    own = _own(instrument.name)
    name, unit, called = METRICS.get(instrument, (own, _UNITS.get(own.rpartition("_")[2], "1"), {}))
    return name, unit, tuple(called.get(label, f"turnout.{label}") for label in instrument.labels)


def operation_of(endpoint: str | None) -> str:
    """Return what a request does, in the conventions' words."""
    return OPERATIONS.get(endpoint or "", endpoint or "other")


def _own(name: str) -> str:
    return "turnout." + name.removeprefix("turnout_").removesuffix("_total")
