"""The keys by which applications let in who already has one (`accept`), as this process can resolve them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.settings.schema import Application
from gateway.settings.secrets import SecretError, resolve


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """`tokens` are pairs of application and key; `lacking` tells by application's name why one of its is not here."""

    tokens: tuple[tuple[str, str], ...]
    lacking: Mapping[str, str]


def accepted(applications: Mapping[str, Application], environment: Mapping[str, str]) -> Accepted:
    """Resolve every key that can be, and tell why others cannot."""
    tokens: list[tuple[str, str]] = []
    lacking: dict[str, str] = {}
    for name, application in applications.items():
        for reference in application.accept:
            try:
                tokens.append((name, resolve(reference, environment)))
            except SecretError as error:
                lacking.setdefault(name, str(error))
    return Accepted(tokens=tuple(tokens), lacking=lacking)
