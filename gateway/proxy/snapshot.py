"""The flags, keys and deployments a worker decides by, in memory. Immutable: a new version is a new value.

A request reads `Holder.view` once and decides everything by what it got.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from analytics.journal.status import Source
from analytics.pricetable import indexed, price_of
from analytics.pricing import Price
from gateway.settings.accepted import Accepted, accepted
from gateway.settings.passthrough import Grant, grant
from gateway.settings.schema import Application, Model, Upstream
from gateway.settings.secrets import Derived, SecretError, resolve
from gateway.settings.snapshot import Snapshot
from rollout.flag import Flag
from rollout.keys import Key, fingerprint, matches, parse

_UNLISTED = "*"
_ACCOUNT = "(account)"
"""No model's name: parentheses never stand in one that a request could reach by mistake."""
_ACCOUNT_FIRST_BYTE_S = 120.0
"""As long as a whole answer of a model may take: what was uploaded is often looked at first."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one upstream, ready to be called; `headers` holds our credential for this upstream alone.

    `forwards` are names of the caller's headers that it is sent beside the usual ones. Deployments of one `circuit`
    stand and fall together.
    """

    model: str
    upstream: str
    base_url: str
    headers: Mapping[str, str]
    price: Price | None
    limits: Model
    injects_usage: bool
    forwards: tuple[bytes, ...] = ()
    circuit: str = ""

    def __repr__(self) -> str:
        """Name the deployment, without its credential."""
        return f"Deployment({self.model!r} at {self.upstream!r})"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What a model name leads to: one deployment, or a flag that decides between two.

    `falls_back`: base answers for a candidate that fails.
    """

    base: Deployment
    flag: Flag | None = None
    candidate: Deployment | None = None
    falls_back: bool = False


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An application whose key was believed. `is_limited`: it has limits of its own."""

    name: str
    application: Application
    is_limited: bool = False


class Decisions:
    """One snapshot, indexed for requests. `lacking` are applications served without one of their own keys, and why.

    Raises:
        SecretError: a referenced secret cannot be resolved by this process.
    """

    def __init__(self, snapshot: Snapshot, derived: Derived, environment: Mapping[str, str]) -> None:
        self.snapshot = snapshot
        self.label = f"{snapshot.epoch}.{snapshot.version}"
        self.hash_key = derived.user_hash
        self._pepper = derived.pepper
        self._keys: dict[str, Key] = {key.id: key for key in snapshot.keys}
        self._callers = {name: _caller(name, application) for name, application in snapshot.applications.items()}
        given = _accepted(snapshot, environment)
        self._accepted = {fingerprint(derived.pepper, token): name for name, token in given.tokens}
        self.lacking = given.lacking
        credentials = {name: _credential(upstream, environment) for name, upstream in snapshot.upstreams.items()}
        self._models = {name: _deploy(name, model, snapshot, credentials) for name, model in snapshot.models.items()}
        self._rollouts = dict(_split_routes(snapshot, self._models))
        self._unlisted = _unlisted(snapshot, credentials)
        self._prices = indexed(snapshot.prices)
        self._granted = dict(_granted(snapshot, credentials))

    def caller(self, token: str) -> Caller | None:
        """Return the application that this key stands for, or None."""
        parts = parse(token)
        if parts is None:
            name = self._accepted.get(fingerprint(self._pepper, token))
        else:
            key = self._keys.get(parts.id)
            is_live = matches(self._pepper, token, key)
            name = key.application if is_live and key is not None and key.role == "app" else None
        return self._callers.get(name) if name is not None else None

    def awaits_keys(self, token: str) -> bool:
        """Tell whether this may be a key that this worker will know: issued, or one that its host was not given."""
        return self.snapshot.is_built_in and (bool(self.lacking) or parse(token) is not None)

    def route(self, model: str, *, live: bool) -> Route | None:
        """Return what a model name leads to; other purposes than live go past every rollout to the model itself."""
        if live and (route := self._rollouts.get(model)):
            return route
        if deployment := self._models.get(model):
            return Route(base=deployment)
        if self._unlisted is not None and model not in self._rollouts:
            price = price_of(model, self._prices)
            return Route(base=msgspec.structs.replace(self._unlisted, model=model, price=price))
        return None

    def granted(self, application: str, method: str, path: str) -> tuple[Grant, Deployment] | None:
        """Return what lets an application call this path, and where that leads; None when nothing does."""
        if (granted := self._granted.get(application)) is None:
            return None
        grants, deployment = granted
        fitting = (one for one in grants if one.method == method and one.path.fullmatch(path))
        first = next(fitting, None)
        return None if first is None else (first, deployment)

    def names(self) -> list[str]:
        """Return every model name that an application may send, sorted."""
        return sorted({*self._rollouts, *self._models})


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What one request decides by. `fresh`: the source answered lately; `killed`: everybody goes to base.

    `trace_share`: which share of the traces that begin here is sampled, 0 to 1; None: none begins here.
    """

    decisions: Decisions
    source: Source
    fresh: bool = True
    killed: bool = False
    trace_share: float | None = None


class Holder:
    """The one reference that changes: swapped whole by watching threads, read once by each request, without a lock."""

    __slots__ = ("_changing", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self._changing = threading.Lock()

    def change(self, **changes: Any) -> None:
        """Swap the view for one with these fields changed."""
        with self._changing:
            self.view = msgspec.structs.replace(self.view, **changes)


def _caller(name: str, application: Application) -> Caller:
    limits = (application.requests_per_minute, application.max_concurrent, application.daily_cost_usd)
    return Caller(name=name, application=application, is_limited=any(limits))


def _accepted(snapshot: Snapshot, environment: Mapping[str, str]) -> Accepted:
    """Return the applications' own keys: all of them, but where nobody can say more than this host knows by itself."""
    given = accepted(snapshot.applications, environment)
    if given.lacking and not (snapshot.is_built_in and given.tokens):
        raise SecretError("; ".join(dict.fromkeys(given.lacking.values())))
    return given


def _credential(upstream: Upstream, environment: Mapping[str, str]) -> Mapping[str, str]:
    if upstream.api_key is None:
        return {}
    return {"authorization": f"Bearer {resolve(upstream.api_key, environment)}"}


def _deploy(name: str, model: Model, snapshot: Snapshot, credentials: Mapping[str, Mapping[str, str]]) -> Deployment:
    upstream = snapshot.upstreams[model.upstream]
    return Deployment(
        model=name,
        upstream=model.upstream,
        base_url=upstream.base_url.rstrip("/"),
        headers=credentials[model.upstream],
        price=model.price,
        limits=model,
        injects_usage=upstream.stream_usage == "inject",
        forwards=tuple(name.encode() for name in upstream.forward_headers),
        circuit=f"{name} at {upstream.base_url}",
    )


def _split_routes(snapshot: Snapshot, models: Mapping[str, Deployment]) -> Iterator[tuple[str, Route]]:
    for name, entry in snapshot.rollouts.items():
        flag = entry.flag
        base, candidate = models[flag.base], models[flag.candidate]
        route = Route(base=base, candidate=candidate, flag=flag, falls_back=entry.fallback)
        for public in (name, *entry.also_for):
            yield public, route


def _granted(
    snapshot: Snapshot, credentials: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, tuple[tuple[Grant, ...], Deployment]]]:
    for name, application in snapshot.applications.items():
        upstream = application.passthrough_upstream or next(iter(snapshot.upstreams), None)
        if application.passthrough and upstream is not None:
            grants = tuple(one for one in map(grant, application.passthrough) if one is not None)
            limits = Model(upstream=upstream, first_byte_timeout_s=_ACCOUNT_FIRST_BYTE_S)
            yield name, (grants, _deploy(_ACCOUNT, limits, snapshot, credentials))


def _unlisted(snapshot: Snapshot, credentials: Mapping[str, Mapping[str, str]]) -> Deployment | None:
    for name, upstream in snapshot.upstreams.items():
        if upstream.models == _UNLISTED:
            return _deploy(_UNLISTED, Model(upstream=name), snapshot, credentials)
    return None
