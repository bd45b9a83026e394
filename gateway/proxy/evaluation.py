"""Rollouts as flags: which keys there are, and what each says to a user. No I/O.

The law: an evaluation decides by `choose`, as a request does, so that the two can never differ. Nothing that it tells
lets anybody compute another user's bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from gateway.proxy.choice import Choice, choose
from gateway.proxy.identity import User
from gateway.proxy.snapshot import Caller, Decisions, View
from gateway.settings.snapshot import SplitEntry
from rollout.assignment import Reason

ErrorCode = Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL", "FLAG_NOT_FOUND"]
Scalar = str | int | float | bool

REASONS: Mapping[Reason, str] = {
    "split": "SPLIT",
    "targeting_match": "TARGETING_MATCH",
    "disabled": "DISABLED",
    "stale": "UNKNOWN",
    "default": "UNKNOWN",
}
"""Ours, in the words that OFREP has for them."""
_PERCENT_SUFFIX = "_rollout"
_MODEL_SUFFIX = "_model"
_PERCENT = "percent"
_NAMED = 5


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a key leads to: a rollout's percent, or the model that it gives to a user."""

    rollout: str
    tells: Literal["percent", "model"]


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """A flag's value for a user, as OFREP has it."""

    key: str
    value: str | float
    variant: str
    reason: str
    metadata: Mapping[str, Scalar]


class Unevaluated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a flag has no value for a user, as OFREP has it."""

    key: str
    error_code: ErrorCode
    error_details: str


class Flags:
    """The flags of one snapshot: of each rollout the percent and the model, by their keys.

    Each has a key of its own, `ROLLOUT:FLAG`, and the plain one of the flag where no other rollout has the same.
    """

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._rollouts = decisions.snapshot.rollouts
        self._places: dict[str, list[Place]] = {}
        for name, entry in self._rollouts.items():
            for plain, place in _keys(name, entry):
                for key in (plain, f"{name}:{plain}"):
                    self._places.setdefault(key, []).append(place)

    def is_of(self, decisions: Decisions) -> bool:
        """Tell whether these are the flags of this snapshot."""
        return self._decisions is decisions

    def evaluate(self, key: str, view: View, caller: Caller, user: User) -> Evaluated | Unevaluated:
        """Return what a flag says to a user; the view is of the same snapshot."""
        places = self._places.get(key, ())
        if not places:
            return Unevaluated(key=key, error_code="FLAG_NOT_FOUND", error_details=self._unknown(key))
        if len(places) > 1:
            return Unevaluated(key=key, error_code="GENERAL", error_details=_ambiguous(key, places))
        [place] = places
        if place.tells == "percent":
            return self._percent(key, place.rollout, view)
        if user.key is None:
            return Unevaluated(key=key, error_code="TARGETING_KEY_MISSING", error_details=NO_USER)
        return self._model(key, place.rollout, view, caller, user)

    def all(self, view: View, caller: Caller, user: User) -> list[Evaluated | Unevaluated]:
        """Return what every flag says to a user, by each key that leads to one flag alone."""
        keys = (key for key, places in self._places.items() if len(places) == 1)
        return [self.evaluate(key, view, caller, user) for key in keys]

    def _percent(self, key: str, rollout: str, view: View) -> Evaluated:
        """Return the percent in force: nobody is sent to the candidate as long as everybody is forced to base."""
        entry = self._rollouts[rollout]
        is_known = view.fresh and view.source != "default"
        reason = "DISABLED" if view.killed else "STATIC" if is_known else "UNKNOWN"
        value = 0.0 if view.killed else entry.flag.percent
        return Evaluated(key=key, value=value, variant=_PERCENT, reason=reason, metadata=_told(entry))

    def _model(self, key: str, rollout: str, view: View, caller: Caller, user: User) -> Evaluated:
        route = self._decisions.route(rollout, live=True)
        assert route is not None, rollout  # noqa: S101 - a rollout's own name always leads to it
        choice = choose(view, route, user)
        assert choice.assignment is not None, rollout  # noqa: S101 - likewise
        return Evaluated(
            key=key,
            value=choice.deployment.model,
            variant=choice.assignment.arm,
            reason=REASONS[choice.assignment.reason],
            metadata={**_told(self._rollouts[rollout]), **_bucket(choice, caller)},
        )

    def _unknown(self, key: str) -> str:
        known = [name for name, places in self._places.items() if len(places) == 1]
        more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        return f"There is no flag {key!r}; there are: {', '.join(known[:_NAMED]) or 'none'}{more}."


NO_USER = (
    "The context names no user: send the user's key as 'targetingKey', the same that requests carry as 'user' or "
    "'safety_identifier'."
)


def _keys(rollout: str, entry: SplitEntry) -> Iterator[tuple[str, Place]]:
    """Yield a rollout's flags: `x_rollout` is the percent and then `x` the model, or `x` and `x_model`."""
    flag = entry.flag.flag
    stem = flag.removesuffix(_PERCENT_SUFFIX)
    yield flag, Place(rollout=rollout, tells="percent")
    yield stem if stem not in {"", flag} else f"{flag}{_MODEL_SUFFIX}", Place(rollout=rollout, tells="model")


def _told(entry: SplitEntry) -> dict[str, Scalar]:
    flag = entry.flag
    told: dict[str, Scalar] = {"version": flag.version, "generation": flag.generation, "step": flag.step}
    return told | ({"phase": flag.phase} if flag.phase is not None else {})


def _bucket(choice: Choice, caller: Caller) -> dict[str, Scalar]:
    """Return the user's bucket if the application is shown it with every answer anyway."""
    bucket = choice.assignment.bucket if choice.assignment is not None else None
    return {"bucket": bucket} if bucket is not None and "bucket" in caller.application.expose else {}


def _ambiguous(key: str, places: Sequence[Place]) -> str:
    named = ", ".join(f"{place.rollout}:{key}" for place in places[:_NAMED])
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"{len(places)} rollouts have a flag {key!r}; name one of them: {named}{more}."
