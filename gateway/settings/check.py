"""Judge what a configuration's parts mean together. Pure: the same configuration and variables give the same problems.

An error keeps the configuration from being used; a warning is printed and used. `docs/decisions/0050` says why names
are resolved as they are: rollouts first, then models, then the upstream with `models = "*"`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

from gateway.settings.address import base_url_faults, is_loopback
from gateway.settings.applications import application_problems
from gateway.settings.headers import forwarding_problems
from gateway.settings.lake import lake_problems
from gateway.settings.passthrough import passthrough_problems
from gateway.settings.problem import Keys, Problem, dotted, error_at, nearest, quoted, shown, warning_at
from gateway.settings.rates import rate_problems
from gateway.settings.redis import redis_problems
from gateway.settings.rollouts import rollout_problems
from gateway.settings.schema import Configuration, Model, SecretRef, Server, Upstream
from gateway.settings.telemetry import telemetry_problems
from gateway.settings.webhooks import webhook_problems

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL_NAME = re.compile(r"[!-~]{1,256}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_OURS = ("TURNOUT_SECRET", "TURNOUT_KEY")
_RESERVED: Mapping[str, Collection[str]] = {"rollouts": ("base", "candidate"), "applications": ("turnout",)}
"""Arms would be mistaken for rollouts; `turnout` stands for the requests that Turnout makes itself."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[?[0-9A-Fa-f:.]+\]?")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognised, not bound


def check(configuration: Configuration, environment_names: AbstractSet[str] | None) -> tuple[Problem, ...]:
    """Return every problem, errors first.

    `environment_names` are the variables that are set and not empty; None where those of the workers are not known.
    """
    problems = [
        *_names(configuration),
        *_server(configuration.server),
        *lake_problems(configuration.lake),
        *redis_problems(configuration.redis),
        *telemetry_problems(configuration.telemetry),
        *_upstreams(configuration),
        *forwarding_problems(configuration),
        *_models(configuration),
        *rate_problems(configuration),
        *rollout_problems(configuration),
        *application_problems(configuration),
        *passthrough_problems(configuration),
        *webhook_problems(configuration),
        *_secrets(configuration, environment_names),
    ]
    return tuple(sorted(problems, key=lambda problem: problem.severity))


def check_process(configuration: Configuration, environment_names: AbstractSet[str] | None) -> tuple[Problem, ...]:
    """Return the problems of what a host reads for itself, as `check` does; definitions are the console's to judge."""
    problems = [
        *_server(configuration.server),
        *lake_problems(configuration.lake),
        *redis_problems(configuration.redis),
        *telemetry_problems(configuration.telemetry),
        *_secrets(configuration, environment_names),
    ]
    return tuple(sorted(problems, key=lambda problem: problem.severity))


def _names(configuration: Configuration) -> Iterator[Problem]:
    for section in ("upstreams", "rollouts", "applications", "webhooks"):
        for name in getattr(configuration, section):
            if not _NAME.fullmatch(name):
                yield error_at(
                    (section, name), "a name has 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit"
                )
            elif name in _RESERVED.get(section, ()):
                yield error_at((section, name), f"the name {quoted(name)} is reserved; choose another")
    for name in configuration.models:
        if not _MODEL_NAME.fullmatch(name):
            yield error_at(("models", name), "a model's name has 1 to 256 visible ASCII characters and no space")


def _server(server: Server) -> Iterator[Problem]:
    for key, host in ((key, getattr(server, key)) for key in ("host", "console_host", "metrics_host")):
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", host):
            yield error_at(("server", key), f"{shown(host)} is no host; write an address such as 127.0.0.1 or 0.0.0.0")
    if server.port and server.port == server.console_port:
        yield error_at(("server", "console_port"), f"{server.port} is the port of the gateway too; choose another")
    others = {server.port: "gateway", server.console_port: "console"}
    if server.metrics_port and server.metrics_port in others:
        message = f"{server.metrics_port} is the port of the {others[server.metrics_port]} too; choose another"
        yield error_at(("server", "metrics_port"), message)
    if server.max_buffered_bytes < server.max_body_bytes:
        message = f"{server.max_buffered_bytes} is less than one body may have (max_body_bytes); write more"
        yield error_at(("server", "max_buffered_bytes"), message)
    for at, name in enumerate(server.hosts):
        if name != "*" and not _HOST.fullmatch(name):
            message = f'{shown(name)} is no host name; write it without scheme, port and path: "llm.example.com"'
            yield error_at(("server", "hosts", at), message)
    if server.max_request_line_bytes > server.max_head_bytes:
        message = f"{server.max_request_line_bytes} is above max_head_bytes, of which it is a part; lower it"
        yield error_at(("server", "max_request_line_bytes"), message)


def _upstreams(configuration: Configuration) -> Iterator[Problem]:
    if not configuration.upstreams:
        yield error_at(("upstreams",), "no upstream is configured; add [upstreams.NAME] with its base_url")
    for name, upstream in configuration.upstreams.items():
        place = ("upstreams", name, "base_url")
        faults = list(base_url_faults(upstream.base_url))
        yield from (error_at(place, f"{shown(upstream.base_url)} {fault}") for fault in faults)
        if not faults:
            yield from _route(place, upstream, configuration.server)
    catchers = [name for name, upstream in configuration.upstreams.items() if upstream.models == "*"]
    for name in catchers[1:]:
        message = f'{quoted(catchers[0])} has models = "*" already, and only one upstream may; take one of them off'
        yield error_at(("upstreams", name, "models"), message)


def _route(place: Keys, upstream: Upstream, server: Server) -> Iterator[Problem]:
    parts = urlsplit(upstream.base_url)
    loopback = is_loopback(parts.hostname or "")
    own = {port for host, port in _listeners(server) if is_loopback(host) or host in _EVERYWHERE}
    if loopback and parts.port in own:
        yield error_at(place, f"{shown(upstream.base_url)} is Turnout itself; name the model server's own port")
    if parts.scheme == "http" and not loopback and upstream.api_key is not None:
        yield warning_at(place, f"{shown(upstream.base_url)} sends the api_key unencrypted; use https://")


def _listeners(server: Server) -> tuple[tuple[str, int], ...]:
    return ((server.host, server.port), (server.console_host, server.console_port))


def _models(configuration: Configuration) -> Iterator[Problem]:
    for name, model in configuration.models.items():
        if model.upstream not in configuration.upstreams:
            remedy = (
                nearest(model.upstream, configuration.upstreams) or f"; add [{dotted(('upstreams', model.upstream))}]"
            )
            yield error_at(
                ("models", name, "upstream"), f"{shown(model.upstream)} is not a configured upstream{remedy}"
            )
        yield from _timeouts(name, model)
    if configuration.upstreams and not configuration.models and not _catches_all(configuration):
        yield warning_at(("models",), 'no model is configured, so every request is refused; add [models."NAME"]')


def _timeouts(name: str, model: Model) -> Iterator[Problem]:
    keys = ("connect_timeout_s", "first_byte_timeout_s", "answer_timeout_s", "idle_timeout_s")
    longer = [f"{key} ({getattr(model, key):g})" for key in keys if getattr(model, key) > model.total_timeout_s]
    if longer:
        message = (
            f"{model.total_timeout_s:g} is shorter than {', '.join(longer)}, which it covers; raise it or lower those"
        )
        yield error_at(("models", name, "total_timeout_s"), message)


def _secrets(configuration: Configuration, environment_names: AbstractSet[str] | None) -> Iterator[Problem]:
    for keys, ref in configuration.secret_refs():
        fault = _reference_fault(ref)
        if fault:
            yield error_at(keys, fault)
        elif ref.env is not None and environment_names is not None and ref.env not in environment_names:
            yield warning_at(keys, f"environment variable {ref.env} is not set; export {ref.env}=... before the start")


def _reference_fault(ref: SecretRef) -> str:
    """Return what is wrong with a reference; what stands there may be the secret itself, so it is not repeated."""
    if (ref.env is None) == (ref.file is None):
        return 'exactly one of env and file is needed: { env = "NAME" } or { file = "/path" }'
    if ref.file is not None:
        absolute = ref.file.startswith("/") and ref.file.isprintable()
        return "" if absolute else 'file is no absolute path; write { file = "/run/secrets/NAME" }'
    name = ref.env or ""
    if not _VARIABLE.fullmatch(name):
        return 'env is no variable\'s name (A-Z, 0-9, _); write the name, never the secret: { env = "OPENAI_API_KEY" }'
    if name in _OURS:
        return f"{name} is Turnout's own secret and is sent to nobody; name another variable"
    if name.endswith("_PROXY"):
        return f"{name} is never passed to workers; name another variable"
    return ""


def _catches_all(configuration: Configuration) -> bool:
    return any(upstream.models == "*" for upstream in configuration.upstreams.values())
