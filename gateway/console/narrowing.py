"""What a caller wants of a report, in the words of the API and the command line; and what is said where it cannot be.

Every report takes the same words. An application, phase, endpoint, step or tag that no request has is refused with
those that there are, and so is a generation to come: an empty table would look like one without requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from analytics.narrowing import BY_TAG, BadNarrowingError, Narrowing, divided, split_tag
from analytics.record import Purpose
from gateway.errors import BadRequestError, NotFoundError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LISTED = 20
"""A sentence lists as many values, and counts the others."""

MOST_PARTS = 1000
"""A report is divided into no more: a month by the hour."""

TAG_NAMES = "tag"
"""What `Values` is asked for where the names of tags are meant."""

Values = Callable[[str, str | None, int], list[str]]
"""Takes what a report can be divided by (or `TAG_NAMES`), a value that comes first if it is there, and the most."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests a report is about, as somebody wrote it; what is left out does not narrow.

    Times are written by ISO 8601, UTC without a zone; tags as `name=value`. `by` divides the report.
    """

    rollout: str | None = None
    generation: int | None = None
    step: int | None = None
    phase: str | None = None
    application: str | None = None
    endpoint: str | None = None
    tag: tuple[str, ...] = ()
    purpose: Purpose = "live"
    forced: bool = False
    since: str | None = None
    until: str | None = None
    by: str | None = None


EVERYTHING = Asked()


def narrowing(asked: Asked, *, rollout: str | None, generation: int | None) -> Narrowing:
    """Return what a caller asked for, of a rollout by its own name, or of all of them.

    Raises:
        BadRequestError: a time, a tag or the division is not written as it must be.
    """
    since, until = parse_moment(asked.since, "since"), parse_moment(asked.until, "until")
    if since is not None and until is not None and since >= until:
        message = f"since {asked.since} is not before until {asked.until}; exchange them, or leave one out"
        raise BadRequestError(message, param="since")
    try:
        divided(asked.by)
        for tag in asked.tag:
            split_tag(tag)
    except BadNarrowingError as error:
        raise BadRequestError(str(error), param=error.place) from error
    return Narrowing(
        rollout=rollout,
        generation=generation,
        step=asked.step,
        phase=asked.phase,
        application=asked.application,
        endpoint=asked.endpoint,
        tags=asked.tag,
        purpose=asked.purpose,
        forced=asked.forced,
        since=since,
        until=until,
    )


def check_known(to: Narrowing, values: Values) -> None:
    """Refuse what no request has. `values` lists what the requests of this rollout, generation and time have.

    Raises:
        NotFoundError: there are requests, but none of this application, phase, endpoint, tag or step.
    """
    for what, wanted, words in _wanted(to):
        found = values(what, wanted, LISTED + 1)
        if found[:1] == [wanted] or not (found or values("hour", None, 1)):
            continue
        place = "tag" if what.startswith(TAG_NAMES) else what
        there = f"there are: {listed(found)}" if found else "none carries any" if place == "tag" else "none has any"
        message = f"no request {words}; {there}"
        raise NotFoundError(message, param=place, code=f"{place}_not_found")


def check_parts(by: str, values: Values) -> None:
    """Refuse to divide a report by a tag that no request carries, or into more tables than anybody reads.

    Raises:
        NotFoundError: no request has the tag.
        BadRequestError: there are more than `MOST_PARTS` values.
    """
    if by.startswith(BY_TAG):
        name = by.removeprefix(BY_TAG)
        found = values(TAG_NAMES, name, LISTED + 1)
        if found[:1] != [name] and (found or values("hour", None, 1)):
            there = f"there are: {listed(found)}" if found else "none carries any"
            message = f"no request carries the tag {name!r}; {there}"
            raise NotFoundError(message, param="by", code="tag_not_found")
    if len(values(by, None, MOST_PARTS + 1)) > MOST_PARTS:
        message = f"{by} has more than {MOST_PARTS} values in these requests; ask for a shorter time, or in SQL"
        raise BadRequestError(message, param="by", code="too_many_parts")


def check_generation(generation: int, present: int) -> None:
    """Refuse a generation that is still to come, of which there is no request.

    Raises:
        NotFoundError: the rollout's generations end before it.
    """
    if generation > present:
        message = f"no request of generation {generation}; the present generation is {present}"
        raise NotFoundError(message, param="generation", code="generation_not_found")


def check_step(step: int, last: int) -> None:
    """Refuse a step that never was.

    Raises:
        NotFoundError: the rollout's steps end before it.
    """
    if step > last:
        there = f"steps 1 to {last} exist" if last > 1 else "only step 1 exists" if last else "none exists yet"
        message = f"no such step: {step}; {there}"
        raise NotFoundError(message, param="step", code="step_not_found")


def listed(found: Sequence[str]) -> str:
    """Return values as a sentence lists them; more than `LISTED` are said to be more."""
    return ", ".join(found[:LISTED]) + (" and others" if len(found) > LISTED else "")


def parse_moment(text: str | None, place: str) -> int | None:
    """Return microseconds since 1970 UTC of a date or a time as ISO 8601 writes it.

    Raises:
        BadRequestError: it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (known.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no time; write for example 2026-11-22 or 2026-11-22T14:30:00Z"
        raise BadRequestError(message, param=place) from error


def _wanted(to: Narrowing) -> Iterator[tuple[str, str, str]]:
    """Yield what may be unknown: by what a report is divided by it, the value, and how a sentence says it."""
    for what in ("application", "phase", "endpoint"):
        value: str | None = getattr(to, what)
        if value is not None:
            yield what, value, f"of the {what} {value!r}"
    for tag in to.tags:
        name, value = split_tag(tag)
        yield TAG_NAMES, name, f"carries the tag {name!r}"
        yield f"{BY_TAG}{name}", value, f"carries the tag {name} with the value {value!r}"
