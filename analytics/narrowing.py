"""Which requests a report is about: what can be asked for, and how it becomes what SQL is asked. Pure.

Every report is narrowed by these words and no others, through `warehouse/queries/narrowed.sql`. Requests that were not
made by users (evaluation, judges, shadows, probes) and those of users who were pinned to an arm are in a report only
if somebody asks for them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from analytics.record import Purpose

BY = ("day", "hour", "application", "endpoint", "phase", "step", "model")
"""What a report can be divided by; beside them `tag:NAME`."""

BY_TAG = "tag:"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class BadNarrowingError(ValueError):
    """What was asked for is not written as it must be; `place` names the part."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class Narrowing(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests alone; None: all. Times in microseconds since 1970 UTC, `since` inclusive, `until` exclusive.

    `tags` are written `name=value`; a request must carry all of them. `forced`: with those of users pinned to an arm.
    """

    rollout: str | None = None
    generation: int | None = None
    step: int | None = None
    phase: str | None = None
    application: str | None = None
    endpoint: str | None = None
    tags: tuple[str, ...] = ()
    purpose: Purpose = "live"
    forced: bool = False
    since: int | None = None
    until: int | None = None


EVERYTHING = Narrowing()


def sql_struct(to: Narrowing, by: str | None = None) -> dict[str, object]:
    """Return what the parameter `asked` of `narrowed.sql` holds, divided `by` one of `BY`, a tag, or not at all.

    Raises:
        BadNarrowingError: a tag is no `name=value`, or nothing is divided so.
    """
    tags = [dict(zip(("name", "value"), split_tag(tag), strict=True)) for tag in to.tags]
    what, tag = divided(by)
    return {
        "rollout": to.rollout,
        "generation": to.generation,
        "step": to.step,
        "phase": to.phase,
        "application": to.application,
        "endpoint": to.endpoint,
        "tags": tags or None,
        "purpose": to.purpose,
        "forced": to.forced,
        "since": moment_of(to.since),
        "until": moment_of(to.until),
        "by": what,
        "by_tag": tag,
    }


def split_tag(text: str) -> tuple[str, str]:
    """Return a tag's name and value.

    Raises:
        BadNarrowingError: there is no `=` in it, or nothing before it.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        message = f"{text!r} is no tag; write name=value"
        raise BadNarrowingError(message, "tag")
    return name, value


def divided(by: str | None) -> tuple[str | None, str | None]:
    """Return what a report is divided by, and the name of the tag if it is one.

    Raises:
        BadNarrowingError: nothing is divided so.
    """
    if by is None or by in BY:
        return by, None
    if by.startswith(BY_TAG) and len(by) > len(BY_TAG):
        return "tag", by.removeprefix(BY_TAG)
    message = f"a report is not divided by {by!r}; there are: {', '.join(BY)}, tag:NAME"
    raise BadNarrowingError(message, "by")


def moment_of(micros: int | None) -> datetime | None:
    """Return a time as the lake has it: UTC, without a zone in the type."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def micros_of(moment: datetime) -> int:
    """Return the microseconds since 1970 of a time as the lake has it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
