"""How a command reaches the console: over HTTP, with its address and key from the environment or the state directory.

`HttpConsole` is the `Console` that speaks to a running one; `direct.py` works on a stopped installation's files.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from analytics.comparison import Comparison
from analytics.costs import CostReport
from analytics.failures import FailureReport
from analytics.record import Arm
from analytics.satisfaction import Satisfaction
from analytics.traffic import TrafficReport
from gateway.cli import Abort
from gateway.cli.console import Console
from gateway.cli.found import called_url, found_key, found_url, sent_key
from gateway.cli.narrowing import Wanted
from gateway.console.gate_views import GateView, PlanView
from gateway.console.views import (
    ErasureView,
    HistoryView,
    KeyView,
    NewKeyView,
    RolloutView,
    RunningView,
    SavedView,
    WhoisView,
)
from gateway.settings.environment import KEY_VARIABLE, URL_VARIABLE, process_environment, state_dir
from rollout.moves import Wish

_TIMEOUT_S = 10.0
_LOOK_TIMEOUT_S = 2.0
"""Who waits for an answer to a look waits for nothing that matters."""
_REPORT_TIMEOUT_S = 150.0
"""A report may wait for others, and is broken off by the console itself."""
_QUERY_TIMEOUT_S = 900.0
"""So may a query, which may also wait for a copy of a large lake; and an erasure, which looks through all of it."""
REPORTS: Mapping[type, str] = {CostReport: "cost", FailureReport: "errors", TrafficReport: "traffic"}
"""What the console calls a report, by the shape of its answer; the head-to-head table has methods of its own."""
_CONSOLES_OWN = "there is no "
"""So a console begins, which may be of another version, when it does not know a route; a gateway says it otherwise."""
_View = TypeVar("_View")


class HttpConsole:
    """A `Console` over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def list_rollouts(self) -> list[RolloutView]:
        """Return the configured rollouts."""
        return self._ask("GET", "rollouts", list[RolloutView])

    def show(self, name: str) -> RolloutView:
        """Return one rollout."""
        return self._ask("GET", f"rollouts/{_segment(name)}", RolloutView)

    def set_percent(self, name: str, percent: str, seen_version: int, reason: str) -> RolloutView:
        """Move a percent."""
        body = {"percent": percent, "version": seen_version, "reason": reason}
        return self._ask("PUT", f"rollouts/{_segment(name)}/percent", RolloutView, body)

    def tell(self, name: str, wish: Wish, seen_version: int, reason: str, start_at: str | None) -> RolloutView:
        """Tell a rollout's plan something; its references may be computed first."""
        body: dict[str, Any] = {"version": seen_version, "reason": reason}
        if start_at is not None:
            body["at"] = start_at
        return self._ask("POST", f"rollouts/{_segment(name)}/{wish}", RolloutView, body, timeout_s=_REPORT_TIMEOUT_S)

    def gate(self, name: str, reports: int, *, now: bool = False) -> GateView:
        """Return what a rollout's gate said last, or says `now`, which reads the step's rows."""
        asked = {"limit": str(reports), **({"now": "true"} if now else {})}
        timeout_s = _REPORT_TIMEOUT_S if now else _TIMEOUT_S
        return self._ask("GET", f"gates/{_segment(name)}", GateView, query=asked, timeout_s=timeout_s)

    def plan(self, name: str, *, suggest: bool = False) -> PlanView:
        """Return a rollout's plan, and if wished a forecast and a likelier plan."""
        asked = {"suggest": "true"} if suggest else {}
        return self._ask("GET", f"rollouts/{_segment(name)}/plan", PlanView, query=asked, timeout_s=_REPORT_TIMEOUT_S)

    def force_user(self, name: str, user: str, arm: Arm, seen_version: int, reason: str) -> RolloutView:
        """Pin a user to an arm."""
        body = {"user": user, "arm": arm, "version": seen_version, "reason": reason}
        return self._ask("PUT", f"rollouts/{_segment(name)}/forced", RolloutView, body)

    def unforce_user(self, name: str, user: str, seen_version: int, reason: str) -> RolloutView:
        """Let the bucket decide again for a user."""
        body = {"user": user, "version": seen_version, "reason": reason}
        return self._ask("DELETE", f"rollouts/{_segment(name)}/forced", RolloutView, body)

    def unforce_hash(self, name: str, hash_digits: str, seen_version: int, reason: str) -> RolloutView:
        """Let the bucket decide again for the user behind a hash."""
        body = {"user_hash": hash_digits, "version": seen_version, "reason": reason}
        return self._ask("DELETE", f"rollouts/{_segment(name)}/forced", RolloutView, body)

    def whois(self, user: str, name: str | None) -> list[WhoisView]:
        """Return which arm serves a user, and why."""
        asked = {"user": user} if name is None else {"user": user, "rollout": name}
        return self._ask("GET", "whois", list[WhoisView], query=asked)

    def history(self, name: str | None, *, verify: bool) -> HistoryView:
        """Return a rollout's audit entries, or with None all, newest first."""
        asked = {"verify": "true" if verify else "false"}
        path = "audit" if name is None else f"rollouts/{_segment(name)}/history"
        return self._ask("GET", path, HistoryView, query=asked)

    def compare(self, asked: Wanted) -> Comparison:
        """Return a rollout's head-to-head table."""
        return self._ask("GET", "reports/compare", Comparison, query=asked, timeout_s=_REPORT_TIMEOUT_S)

    def compare_by(self, asked: Wanted) -> list[Comparison]:
        """Return such a table for each part."""
        return self._ask("GET", "reports/compare", list[Comparison], query=asked, timeout_s=_REPORT_TIMEOUT_S)

    def satisfaction(self, asked: Wanted) -> Satisfaction:
        """Return what users say of both arms' answers."""
        return self._ask("GET", "reports/satisfaction", Satisfaction, query=asked, timeout_s=_REPORT_TIMEOUT_S)

    def satisfaction_by(self, asked: Wanted) -> list[Satisfaction]:
        """Return the same for each part."""
        return self._ask("GET", "reports/satisfaction", list[Satisfaction], query=asked, timeout_s=_REPORT_TIMEOUT_S)

    def report(self, shape: type[_View], asked: Wanted) -> _View:
        """Return another report."""
        return self._ask("GET", f"reports/{REPORTS[shape]}", shape, query=asked, timeout_s=_REPORT_TIMEOUT_S)

    def ask(self, asked: Mapping[str, Any], form: str) -> bytes:
        """Return the answer to one SELECT."""
        return self._answer("POST", "sql", dict(asked), {"format": form}, _QUERY_TIMEOUT_S).content

    def running_query(self, query_id: str) -> RunningView | None:
        """Return how far a query is; a console that cannot tell is no error."""
        with suppress(Abort):
            return self._ask("GET", f"sql/{query_id}", RunningView, timeout_s=_LOOK_TIMEOUT_S)
        return None

    def saved_queries(self) -> list[SavedView]:
        """Return the saved queries."""
        return self._ask("GET", "sql/queries", list[SavedView])

    def save_query(self, name: str, kept: Mapping[str, Any]) -> SavedView:
        """Save a query."""
        return self._ask("PUT", f"sql/queries/{_segment(name)}", SavedView, dict(kept))

    def forget_query(self, name: str) -> None:
        """Remove a saved query."""
        self._answer("DELETE", f"sql/queries/{_segment(name)}", None, None, _TIMEOUT_S)

    def cancel_query(self, query_id: str) -> None:
        """End a query; one that has ended is no error."""
        with suppress(Abort):
            self._answer("DELETE", f"sql/{query_id}", None, None, _TIMEOUT_S)

    def erase_user(self, asked: Mapping[str, str | None]) -> ErasureView:
        """Erase a user."""
        return self._ask("POST", "erasures", ErasureView, dict(asked), timeout_s=_QUERY_TIMEOUT_S)

    def list_erasures(self) -> list[ErasureView]:
        """Return every erasure."""
        return self._ask("GET", "erasures", list[ErasureView])

    def list_keys(self) -> list[KeyView]:
        """Return every key."""
        return self._ask("GET", "keys", list[KeyView])

    def create_key(self, role: str, application: str | None, label: str) -> NewKeyView:
        """Make a key."""
        return self._ask("POST", "keys", NewKeyView, {"role": role, "application": application, "label": label})

    def revoke_key(self, key_id: str) -> KeyView:
        """Revoke a key."""
        return self._ask("POST", f"keys/{_segment(key_id)}/revoke", KeyView)

    def _ask(
        self,
        method: str,
        path: str,
        shape: type[_View],
        body: Any = None,
        query: Wanted | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> _View:
        answer = self._answer(method, path, body, query, timeout_s)
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except msgspec.MsgspecError as error:
            message = f"what answers at {self._client.base_url} is no Turnout console of this version: {error}"
            raise Abort(message) from error

    def _answer(self, method: str, path: str, body: Any, query: Wanted | None, timeout_s: float) -> httpx.Response:
        url, words = self._client.base_url, dict[str, Any](query or {})
        try:
            answer = self._client.request(method, f"api/v1/{path}", json=body, params=words, timeout=timeout_s)
        except httpx.TimeoutException as error:
            message = f"the console at {url} did not answer within {timeout_s:g} s; look at its log, then repeat"
            raise Abort(message) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = (
                f"the console at {url} cannot be reached; start it with `turnout serve`, or set {URL_VARIABLE} "
                "(a stopped installation's files: --direct)"
            )
            raise Abort(message) from error
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            raise Abort(_refusal(answer))
        return answer


@contextmanager
def reach(arguments: argparse.Namespace) -> Generator[Console]:
    """Yield the console that a command's options lead to.

    Raises:
        Abort: neither a running console nor, with `--direct`, a stopped installation is found; `--lake` is there
            without `--direct`; or address and key in the environment are none.
    """
    environment = process_environment()
    directory: Path = arguments.state_dir if arguments.state_dir is not None else state_dir(environment)
    if arguments.direct:
        from gateway.cli.direct import open_directly  # noqa: PLC0415 - SQLite and the rest are for this option alone

        lake, only_reports = getattr(arguments, "lake", None), getattr(arguments, "only_reports", False)
        with open_directly(directory, environment, lake, only_reports=only_reports) as console:
            yield console
        return
    if getattr(arguments, "lake", None) is not None:
        message = "--lake goes with --direct; a console answers from the lake of its own installation"
        raise Abort(message, exit_code=2)
    url, key = environment.get(URL_VARIABLE), environment.get(KEY_VARIABLE)
    if url and not key:
        message = f"{URL_VARIABLE} is set without {KEY_VARIABLE}; a key found on this machine is not sent elsewhere"
        raise Abort(message)
    address = called_url(url) if url else found_url(directory)
    headers = {"authorization": f"Bearer {sent_key(key) if key else found_key(directory)}"}
    with httpx.Client(base_url=address, headers=headers, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield HttpConsole(client)


def add_reach_options(command: argparse.ArgumentParser) -> None:
    """Add the options that every command to the console has."""
    command.add_argument("--json", action="store_true", help="print JSON for programs")
    command.add_argument(
        "--direct", action="store_true", help="work on a stopped installation's files, without a console"
    )
    command.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where to find the console (default: turnout-data)"
    )


def _segment(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name:
        message = f"{name!r} is no name of a rollout, a key or a query: it is empty, a dot or two, or has a slash in it"
        raise Abort(message, exit_code=2)
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        message = f"{name!r} is not valid Unicode"
        raise Abort(message, exit_code=2) from error


def _refusal(answer: httpx.Response) -> str:
    """Return the sentence of an error envelope, or what is known of an answer without one."""
    try:
        error = msgspec.json.decode(answer.content)["error"]
        if error["code"] == "unknown_url" and not str(error["message"]).startswith(_CONSOLES_OWN):
            place = answer.request.url.copy_with(path="/", query=None)
            return f"{place} is no console, but perhaps a gateway; {URL_VARIABLE} is the console's address"
        return str(error["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return f"{answer.request.url.copy_with(query=None)} answered {answer.status_code} without a Turnout error"
