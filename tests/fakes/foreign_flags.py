"""Flags that a test moves: what OpenFeature's SDK is asked for, without the SDK; and providers that misbehave."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 30.0


@dataclass(kw_only=True)
class Details:
    value: Any
    error_code: Any = None


@dataclass(kw_only=True)
class Client:
    """A client of OpenFeature's whose flags are `values`; an exception among them is raised, an event waited for."""

    values: dict[str, Any] = field(default_factory=dict)

    def get_float_details(self, flag: str, default: float) -> Details:
        return self._details(flag, default, float)

    def get_integer_details(self, flag: str, default: int) -> Details:
        return self._details(flag, default, int)

    def _details(self, flag: str, default: float, wanted: type) -> Details:
        value = self.values.get(flag, "FLAG_NOT_FOUND")
        if isinstance(value, BaseException):
            raise value
        if isinstance(value, threading.Event):
            value.wait(PATIENCE_S)
            return Details(value=default)
        if isinstance(value, str):
            return Details(value=default, error_code=value)
        return Details(value=value) if type(value) is wanted else Details(value=default, error_code="TYPE_MISMATCH")
