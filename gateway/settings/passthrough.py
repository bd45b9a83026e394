"""Which paths without a model an application may call: read and judge its list. Pure.

Law: a pattern says all that it permits. A `{name}` stands for one segment of an id's characters, never for the first
one; what destroys models, spends on training or governs the organisation is permitted by whole paths alone; and nothing
that Turnout answers itself can be listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from gateway.settings.problem import Keys, Problem, error_at, nearest, shown, warning_at
from gateway.settings.schema import Application, Configuration

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_SEGMENT = r"[A-Za-z0-9_.~-]+"
_PATTERN = re.compile(rf"({'|'.join(METHODS)}) (/v1(?:/(?:{_SEGMENT}|\{{[a-z_]+\}}))+)")
_ANY = re.compile(r"\{[a-z_]+\}")
_ID = r"(?:[A-Za-z0-9._~:@!$&'()*+,=-]|%(?!2[35EeFf]|3[BbFf]|5[Cc]|[01]|7[Ff]|[Cc][01])[0-9A-Fa-f]{2})+"
"""One segment: no encoded delimiter, dot, percent, control character or overlong form, which servers may decode to
another path."""
_LITERAL_ONLY = ("fine_tuning", "fine-tunes", "organization", "organizations", "projects")
_OWN = frozenset({"feedback", "models"})
_ANSWERED = re.compile(
    r"POST /v1/(?:chat/completions|completions|embeddings|responses(?:/compact|/input_tokens)?|moderations|rerank|score"
    r"|images/(?:generations|edits|variations)|audio/(?:speech|transcriptions|translations)|videos)"
)


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list; `pattern` is what records call it."""

    pattern: str
    method: str
    path: re.Pattern[str]


def grant(pattern: str) -> Grant | None:
    """Read one line; None when it has another form."""
    found = _PATTERN.fullmatch(pattern)
    if found is None or any(set(segment) == {"."} for segment in pattern.split("/")):
        return None
    parts = (_ID if _ANY.fullmatch(part) else re.escape(part) for part in found[2].split("/"))
    return Grant(pattern=pattern, method=found[1], path=re.compile("/".join(parts)))


def passthrough_problems(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is wrong with what applications may call beside models."""
    for name, application in configuration.applications.items():
        place = ("applications", name, "passthrough")
        for at, pattern in enumerate(application.passthrough):
            if (fault := _fault(pattern)) or pattern in application.passthrough[:at]:
                yield error_at((*place, at), f"{shown(pattern)} {fault or 'is listed twice; leave one out'}")
        yield from _upstream(("applications", name, "passthrough_upstream"), application, configuration)


def _fault(pattern: str) -> str:
    """Return what is wrong with one line, or nothing."""
    if grant(pattern) is None:
        return f'is no method and path; write {", ".join(METHODS)} and a path: "GET /v1/files/{{id}}"'
    method, path = pattern.split(" ")
    first = path.split("/")[2]
    if first.startswith("{"):
        return "begins with a placeholder, which would permit every kind of resource; write the first segment out"
    if (first in _OWN and method != "DELETE") or first == "feedback" or _ANSWERED.fullmatch(pattern):
        return "is answered by Turnout itself; leave it out"
    if "{" in path and (first in _LITERAL_ONLY or first == "models"):
        return "may only be listed as a whole path, without placeholders: it governs models, training or the account"
    return ""


def _upstream(place: Keys, application: Application, configuration: Configuration) -> Iterator[Problem]:
    named, upstreams = application.passthrough_upstream, configuration.upstreams
    if named is not None and named not in upstreams:
        yield error_at(place, f"{shown(named)} is not a configured upstream{nearest(named, upstreams)}")
    elif named is not None and not application.passthrough:
        yield warning_at(place, "nothing is listed under passthrough; leave this out, or list what may be called")
    elif named is None and application.passthrough and len(upstreams) > 1:
        yield error_at(place, f"is needed with more than one upstream; name one of {', '.join(sorted(upstreams))}")
