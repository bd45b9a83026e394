"""Judge where people are told of rollouts. Pure.

The law: these are the only addresses that notices go to. One that cannot be called, or that would be called by anybody
who reads this file, is found before it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.settings.address import base_url_faults, is_loopback
from gateway.settings.problem import Keys, Problem, error_at, shown, warning_at
from gateway.settings.schema import Configuration, Webhook

MOST = 16
_SLACK = "hooks.slack.com"


def webhook_problems(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is wrong with `[webhooks]`."""
    if len(configuration.webhooks) > MOST:
        message = f"{len(configuration.webhooks)} webhooks are more than the {MOST} that there may be; join some"
        yield error_at(("webhooks",), message)
    for name, webhook in configuration.webhooks.items():
        place = ("webhooks", name)
        if (webhook.url is None) == (webhook.url_from is None):
            message = 'exactly one of url and url_from is needed: url = "https://..." or url_from = { env = "NAME" }'
            yield error_at(place, message)
        if webhook.url is not None:
            yield from _address((*place, "url"), webhook, webhook.url)
        if webhook.format == "json" and webhook.secret is None:
            message = 'generic JSON is signed, so that a receiver can tell who sent it; add secret = { env = "NAME" }'
            yield error_at((*place, "secret"), message)
        if not webhook.events:
            yield error_at((*place, "events"), "an empty list tells nobody anything; name events, or leave it out")


def address_fault(url: str) -> str | None:
    """Return what is wrong with an address, without repeating it; it may have a query, but nothing behind a #."""
    if "#" in url:
        return "has a fragment (#), which is never sent; write it without"
    bare, _, query = url.partition("?")
    fault = next(iter(base_url_faults(bare)), None)
    if fault is not None:
        return fault.partition(";")[0] + "; write it as its owner gave it, such as https://hooks.example.com/turnout"
    is_plain = all("!" <= character <= "~" for character in query)
    return None if is_plain else "has a query that cannot be sent; write it as its owner gave it"


def _address(place: Keys, webhook: Webhook, url: str) -> Iterator[Problem]:
    fault = address_fault(url)
    if fault is not None:
        yield error_at(place, f"{shown(url)} {fault}")
        return
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield warning_at(place, f"{shown(url)} is called unencrypted; use https://")
    if parts.hostname == _SLACK:
        message = (
            'whoever has an address of Slack\'s may write there; keep it out of this file: url_from = { env = "NAME" }'
        )
        yield warning_at(place, message)
    if parts.hostname == _SLACK and webhook.format != "slack":
        yield error_at((*place[:2], "format"), 'Slack takes its own shape alone; write format = "slack"')
