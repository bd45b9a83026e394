"""The shape of `turnout.toml`: every section, key, type, unit and default. Pure: `load.py` fills it, `check.py` judges.

Each struct refuses unknown keys. A key's meaning stands in `docs/configuration.md`, which the tests compare with this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from analytics.logline import LogLevel
from analytics.pricing import Price
from analytics.record import Purpose
from gateway.settings.plan_schema import PlanDefinition
from rollout.notice import WHATS, What

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Header = Annotated[
    str, Meta(pattern=r"^[a-z0-9-]+\Z", max_length=64, description="a header's name in lower case, such as x-user-id")
]
AtOnce = Annotated[int, Meta(ge=1, le=1_000_000)]
Usd = Annotated[float, Meta(gt=0, le=100_000_000)]
UserSource = Literal["header", "safety_identifier", "user", "metadata"]
PERCENT_FROM = "percent_from"
Exposed = Literal["rollout", "arm", "model", "bucket"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class SecretRef(_Section, frozen=True, kw_only=True):
    """Where a secret is found, never the secret: exactly one of an environment variable or a file."""

    env: str | None = None
    file: str | None = None


class Server(_Section, frozen=True, kw_only=True):
    """Process settings of the data plane and the console; a port of 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: Port = 8080
    console_host: str = "127.0.0.1"
    console_port: Port = 8081
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9464
    """The usual port of OpenTelemetry's exporters for Prometheus."""
    workers: Annotated[int, Meta(ge=1, le=256)] | None = None
    """None: one per core."""
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 16 * 1024 * 1024
    max_buffered_bytes: Annotated[int, Meta(ge=1024)] = 256 * 1024 * 1024
    """Of request bodies, in each worker."""
    max_upload_bytes: Annotated[int, Meta(ge=1024)] = 512 * 1024 * 1024
    max_concurrent: AtOnce | None = None
    """None: no limit."""
    queue: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    queue_timeout_s: Annotated[float, Meta(gt=0, le=30)] = 5.0
    keep_alive_comment_s: Seconds = 10.0
    hosts: tuple[str, ...] = ()
    """Names under which callers reach the gateway, beside loopback names and its own address; "*": any."""
    head_timeout_s: Seconds = 10.0
    max_headers: Annotated[int, Meta(ge=10, le=10_000)] = 100
    max_head_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024)] = 32 * 1024
    max_request_line_bytes: Annotated[int, Meta(ge=256, le=1024 * 1024)] = 8 * 1024
    body_timeout_s: Seconds = 30.0
    min_body_bytes_per_s: Annotated[int, Meta(ge=1, le=1024 * 1024)] = 100
    write_timeout_s: Seconds = 30.0


class Lake(_Section, frozen=True, kw_only=True):
    """Where Parquet goes, and how long (seconds) the shipper may wait before it seals what it has."""

    url: str | None = None
    """None: `<state directory>/lake`."""
    endpoint_url: str | None = None
    """Of the object store. None: AWS itself, or what the environment says."""
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]+\Z", max_length=64)] | None = None
    access_key_id: SecretRef | None = None
    secret_access_key: SecretRef | None = None
    """None: what every client of S3 looks for in its environment."""
    seal_every_s: Seconds = 5.0
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    """Of requests and feedback. None: they are kept."""


class Redis(_Section, frozen=True, kw_only=True):
    """The Redis by which one console's snapshots reach the gateways of many hosts. Without a `url` there is none."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    username: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    password: SecretRef | None = None
    sentinel_username: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    sentinel_password: SecretRef | None = None
    ca_file: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """Certificates that the server's must descend from. None: those of the system."""
    gateways: Annotated[int, Meta(ge=1, le=10_000)] = 2
    """The largest number of gateway hosts: by so many a limit is divided while Redis is away."""

    def secret_refs(self) -> Iterator[tuple[tuple[str | int, ...], SecretRef]]:
        """Return every reference to a secret, with the keys that lead to it in the file."""
        for name, ref in (("password", self.password), ("sentinel_password", self.sentinel_password)):
            if ref is not None:
                yield ("redis", name), ref


class Logs(_Section, frozen=True, kw_only=True):
    """What the processes' logs hold: lines of `level` and above."""

    level: LogLevel = "info"


class Telemetry(_Section, frozen=True, kw_only=True):
    """Where spans and metrics are pushed by OTLP over HTTP. Without `otlp_url` nowhere."""

    otlp_url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    """The base, without /v1/traces."""
    otlp_headers: dict[Header, SecretRef] = {}
    sample: Annotated[float, Meta(ge=0, le=1)] = 0.01
    slow_s: Seconds = 10.0
    metrics_every_s: Seconds = 60.0


class Sql(_Section, frozen=True, kw_only=True):
    """What analysts may ask in SQL: the requests of how many days, at most so many, how old, and for how long."""

    days: Annotated[int, Meta(ge=1, le=3650)] = 30
    max_rows: Annotated[int, Meta(ge=1000, le=1_000_000_000)] = 10_000_000
    refresh_s: Annotated[float, Meta(ge=1, le=300)] = 300.0
    timeout_s: Annotated[float, Meta(ge=1, le=300)] = 30.0
    require_landlock: bool = False
    """Whether nothing is answered on a kernel that cannot forbid a process all files."""


class Webhook(_Section, frozen=True, kw_only=True):
    """Where people are told of rollouts: exactly one of `url` and `url_from`; generic JSON is signed with `secret`."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    url_from: SecretRef | None = None
    """For addresses that are secrets themselves, as Slack's are."""
    format: Literal["json", "slack"] = "json"
    secret: SecretRef | None = None
    events: tuple[What, ...] = WHATS

    def secret_refs(self) -> Iterator[tuple[str, SecretRef]]:
        """Return every reference to a secret, with its key."""
        for name, ref in (("url_from", self.url_from), ("secret", self.secret)):
            if ref is not None:
                yield name, ref


class Upstream(_Section, frozen=True, kw_only=True):
    """Where requests go. `models = "*"` lets model names that the file does not list through to this upstream."""

    base_url: str
    api_key: SecretRef | None = None
    stream_usage: Literal["inject", "leave"] = "inject"
    models: Literal["*"] | None = None
    forward_headers: Annotated[tuple[Header, ...], Meta(max_length=32)] = ()
    """Of the caller's, beside those that every upstream is sent."""
    prices: Literal["all", "file", "none"] | None = None
    """Which tables price models without a price of their own. None: "all" for OpenAI itself, "file" for others."""


class Model(_Section, frozen=True, kw_only=True):
    """One model name at one upstream, its price (USD per million tokens) its timeouts and its limit."""

    upstream: str
    price: Price | None = None
    connect_timeout_s: Seconds = 2.0
    first_byte_timeout_s: Seconds = 30.0
    answer_timeout_s: Seconds = 120.0
    idle_timeout_s: Seconds = 30.0
    total_timeout_s: Seconds = 600.0
    max_concurrent: AtOnce | None = None


class Prices(_Section, frozen=True, kw_only=True):
    """Prices for models that have none under `models`: a file in LiteLLM's format, and a table by model name.

    A loaded configuration has `file` as an absolute path and, where one upstream takes unlisted models, in `table`
    all that they may cost.
    """

    file: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    table: dict[str, Price] = {}


class PercentFrom(_Section, frozen=True, kw_only=True):
    """A flag of somebody else's that rules a rollout's percent, by any OpenFeature provider."""

    provider: Annotated[str, Meta(max_length=256)]
    """`module:attribute`: a provider, or what makes one of `options` and `secrets`, called with them by their names."""
    flag: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """None: the rollout's own `flag`."""
    options: dict[str, Any] = {}
    secrets: dict[str, SecretRef] = {}
    refresh_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0


class RolloutDefinition(_Section, frozen=True, kw_only=True):
    """One split: the public name is the table's name; `also_for` are further names that applications already send."""

    base: str
    candidate: str
    flag: str = "finetuned_model_rollout"
    also_for: tuple[str, ...] = ()
    salt: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """None: derived from the installation's secret, the rollout and its generation."""
    evidence: Literal["required", "advised", "off"] = "advised"
    fallback: bool = True
    """Whether base answers for a candidate that fails."""
    plan: PlanDefinition = PlanDefinition()
    percent_from: PercentFrom | None = None
    """None: operators and the plan rule the percent."""


class Application(_Section, frozen=True, kw_only=True):
    """Who may call, how its users are told apart, and what its answers show."""

    accept: tuple[SecretRef, ...] = ()
    user_header: Header | None = None
    user_sources: tuple[UserSource, ...] = ("header", "safety_identifier", "user", "metadata")
    anonymous: Literal["base", "session", "application"] = "base"
    session_header: Header = "x-session-id"
    expose: tuple[Exposed, ...] = ("model", "arm")
    purposes: tuple[Purpose, ...] = ("live",)
    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    max_concurrent: AtOnce | None = None
    daily_cost_usd: Usd | None = None
    """Of a UTC day. None: no limit."""
    unknown_cost_usd: Usd | None = None
    """What a request is charged whose cost nobody knows, and what is set aside for each while it is under way."""
    passthrough: Annotated[tuple[str, ...], Meta(max_length=200)] = ()
    """Paths without a model that it may call: "GET /v1/files/{id}". They act on the company's account."""
    passthrough_upstream: str | None = None
    """Whose account that is. None: the only upstream's."""
    content: Literal["none", "sampled", "full"] = "none"
    content_sample: Annotated[float, Meta(gt=0, le=1)] = 0.1
    content_days: Annotated[int, Meta(ge=1, le=3650)] = 30


class Configuration(_Section, frozen=True, kw_only=True):
    """The whole file."""

    server: Server = Server()
    lake: Lake = Lake()
    redis: Redis = Redis()
    logs: Logs = Logs()
    telemetry: Telemetry = Telemetry()
    sql: Sql = Sql()
    upstreams: dict[str, Upstream] = {}
    models: dict[str, Model] = {}
    prices: Prices = Prices()
    rollouts: dict[str, RolloutDefinition] = {}
    applications: dict[str, Application] = {}
    webhooks: dict[str, Webhook] = {}

    def secret_refs(self) -> Iterator[tuple[tuple[str | int, ...], SecretRef]]:
        """Return every reference to a secret, with the keys that lead to it in the file."""
        yield from self.redis.secret_refs()
        for name, ref in self.telemetry.otlp_headers.items():
            yield ("telemetry", "otlp_headers", name), ref
        for name, upstream in self.upstreams.items():
            if upstream.api_key is not None:
                yield ("upstreams", name, "api_key"), upstream.api_key
        for key in ("access_key_id", "secret_access_key"):
            if (ref := getattr(self.lake, key)) is not None:
                yield ("lake", key), ref
        for name, application in self.applications.items():
            for at, ref in enumerate(application.accept):
                yield ("applications", name, "accept", at), ref
        yield from self._foreign_refs()

    def _foreign_refs(self) -> Iterator[tuple[tuple[str | int, ...], SecretRef]]:
        for name, rollout in self.rollouts.items():
            source = rollout.percent_from
            for key, ref in source.secrets.items() if source is not None else ():
                yield ("rollouts", name, PERCENT_FROM, "secrets", key), ref
        for name, webhook in self.webhooks.items():
            for key, ref in webhook.secret_refs():
                yield ("webhooks", name, key), ref
