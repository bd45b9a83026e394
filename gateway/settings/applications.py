"""Judge applications: who is let in by which existing key, and by which header a user is known. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.settings.headers import has_meaning
from gateway.settings.problem import Problem, error_at, quoted, shown, warning_at
from gateway.settings.schema import Application, Configuration, SecretRef


def application_problems(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is wrong with the applications, alone and together."""
    for name, application in configuration.applications.items():
        yield from _headers(name, application)
        yield from _sources(name, application)
        yield from _costs(name, application)
        if not application.purposes:
            message = 'an empty list permits no request at all; write ["live"], or leave the key out'
            yield error_at(("applications", name, "purposes"), message)
    yield from _shared_keys(configuration)


def _headers(name: str, application: Application) -> Iterator[Problem]:
    for key, header in (("user_header", application.user_header), ("session_header", application.session_header)):
        if header is not None and has_meaning(header):
            message = f"{shown(header)} has a meaning of its own in HTTP or in Turnout; use another, such as x-user-id"
            yield error_at(("applications", name, key), message)
    if application.anonymous == "session" and application.user_header == application.session_header:
        message = f"{shown(application.session_header)} is the user_header too; a session needs a header of its own"
        yield error_at(("applications", name, "session_header"), message)


def _sources(name: str, application: Application) -> Iterator[Problem]:
    place = ("applications", name, "user_sources")
    sources = application.user_sources
    if not sources:
        yield warning_at(place, "an empty list makes every request anonymous; leave the key out unless that is meant")
    if len(set(sources)) < len(sources):
        yield error_at(place, "names a source twice; the order is the order in which they are tried")
    if application.user_header is not None and "header" not in sources:
        message = f'user_header is set ({application.user_header}) but never read; add "header" to user_sources'
        yield warning_at(place, message)


def _costs(name: str, application: Application) -> Iterator[Problem]:
    """A cap needs to know what to take for a cost that nobody knows, and must leave room for one such request."""
    cap, ceiling = application.daily_cost_usd, application.unknown_cost_usd
    if cap is not None and ceiling is None:
        message = "needs unknown_cost_usd beside it: what a request is charged whose cost nobody knows, such as 0.05"
        yield error_at(("applications", name, "daily_cost_usd"), message)
    if cap is None and ceiling is not None:
        message = "has no meaning without daily_cost_usd; add that, or leave this out"
        yield error_at(("applications", name, "unknown_cost_usd"), message)
    if cap is not None and ceiling is not None and ceiling > cap:
        message = f"{ceiling:g} is set aside for each request, more than daily_cost_usd ({cap:g}): none would pass"
        yield error_at(("applications", name, "unknown_cost_usd"), message)


def _shared_keys(configuration: Configuration) -> Iterator[Problem]:
    owners: dict[SecretRef, str] = {}
    for name, application in configuration.applications.items():
        for at, ref in enumerate(application.accept):
            owner = owners.setdefault(ref, name)
            if owner != name:
                message = f"application {quoted(owner)} accepts the same key; a key leads to one application"
                yield error_at(("applications", name, "accept", at), f"{message}: take it out of one")
