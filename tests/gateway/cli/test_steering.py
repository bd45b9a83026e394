from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.evidence import Check
from analytics.forecast import Tolerance
from analytics.suggestion import Suggestion
from gateway.cli import Abort, gate, rollout, steering
from gateway.console.gate_views import ControllerView, PlanView
from rollout.phase import Row
from rollout.plan import DEFAULT_PLAN
from rollout.prospects import plan_rows, tolerances
from rollout.stores.sqlite import SqliteLedger
from rollout.verdict import Verdict
from tests.fakes.console import SALES, opened, opened_with_ledger, serving
from tests.fakes.plans import SHORT_PLAN, said

Turnout = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteLedger]:
    monkeypatch.delenv("TURNOUT_URL", raising=False)
    monkeypatch.delenv("TURNOUT_KEY", raising=False)
    with opened_with_ledger(tmp_path) as (control, made), serving(control) as running:
        (tmp_path / "addresses.json").write_text(json.dumps({"console": running.url}))
        (tmp_path / "first-keys").write_text(f"admin {running.keys.admin}\n")
        yield made


@pytest.fixture
def turnout(tmp_path: Path, ledger: SqliteLedger, capsys: pytest.CaptureFixture[str]) -> Turnout:
    root = argparse.ArgumentParser(prog="turnout")
    commands = root.add_subparsers(required=True)
    rollout.add_parser(commands)
    gate.add_parser(commands)

    def run(*words: str) -> tuple[int, str, str]:
        arguments = root.parse_args([*words, "--state-dir", str(tmp_path)])
        try:
            code = arguments.run(arguments)
        except Abort as abort:
            return (abort.exit_code, capsys.readouterr().out, f"{abort}")
        told = capsys.readouterr()
        return (code, told.out, told.err)

    return run


def keep(ledger: SqliteLedger, verdict: Verdict) -> None:
    progress = ledger.state().rollouts[SALES].progress
    report = said(verdict, progress.step, holds=("620 of 10,000 users are candidates, 500 expected",))
    assert ledger.keep(SALES, progress, replace(progress, report=report), report)


def test_a_plan_is_started_advanced_and_rolled_back_and_each_says_where_it_stands(turnout: Turnout):
    assert turnout("rollout", "start", SALES)[:2] == (
        0,
        f"{SALES}: 0 % > 5 %, version 2; running: canary 5 %, 0 s of 2 d over\n",
    )
    assert turnout("rollout", "advance", SALES)[0] == 1
    assert "banner: Started without a passed certificate" in turnout("gate", "check", SALES)[1]
    assert "Started without a passed certificate" in turnout("rollout", "history", SALES)[1]
    code, out, _ = turnout("rollout", "advance", SALES, "--reason", "the board wants it")
    assert (code, out) == (0, f"{SALES}: 5 % > 10 %, version 3; running: canary 10 %, 0 s of 5 d over\n")

    shown = turnout("rollout", "show", SALES)[1]
    assert "plan        running: canary 10 %" in shown
    assert "banner      Started without a passed certificate" in shown
    assert "override    of step 1 by admin key" in shown
    assert "the board wants it" in shown

    assert turnout("rollout", "rollback", SALES)[1].startswith(f"{SALES}: 10 % > 0 %, version 4; rolled back")
    assert turnout("rollout", "rollback", SALES)[1].startswith(f"{SALES} is as it was: it was rolled back")
    history = turnout("rollout", "history", SALES, "--verify")
    assert history[0] == 0
    assert "percent 10 > 0, phase canary > -, standing running > rolled_back" in history[1]
    assert "frozen" not in history[1]


def test_a_scheduled_start_says_for_when_and_json_says_all(turnout: Turnout):
    code, out, _ = turnout("rollout", "start", SALES, "--at", "2099-12-01T08:00:00Z")
    assert (code, out) == (0, f"{SALES}: 0 %, version 2; scheduled, for 2099-12-01 08:00:00Z: 0 %\n")

    code, out, _ = turnout("rollout", "pause", SALES, "--json")
    assert (code, json.loads(out)["controller"]["standing"]) == (0, "paused")
    assert turnout("rollout", "resume", SALES, "--if-version", "2")[0] == 1


def test_who_starts_without_a_certificate_is_warned_at_once(turnout: Turnout):
    said = turnout("rollout", "start", SALES, "--reason", "a try.")[2]

    assert said.startswith("warning: Started without a passed certificate. certificate: inconclusive. There is none")
    assert "a try. Started without" in turnout("rollout", "history", SALES)[1]


def test_where_a_scheduled_start_waits_for_a_freeze_window_is_said():
    view = ControllerView(standing="scheduled", start_at=1_800_000_000_000_000, thaws_at=1_800_003_600_000_000)
    ends = "2027-01-15 09:00:00Z, when the freeze window ends that is open at 2027-01-15 08:00:00Z"

    assert steering.placed(view, 0.0) == f"scheduled, for {ends}: 0 %"


def test_a_plan_is_shown_with_what_its_gates_demand(turnout: Turnout):
    code, out, _ = turnout("rollout", "plan", SALES)

    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:7]][1] == ["1", "canary", "5"]
    assert "25 % more and 0.2 points more" in out
    assert "1.2 times base's" in out
    assert "Between phases a person approves." in out
    assert [line.split()[5:7] for line in out.splitlines()[2:6:2]] == [["canary", "safety"], ["beta", "safety"]]
    assert "safety   passes when no check failed, in 500 requests of 100 users of the candidate at least\n" in out
    assert "watched  is compared with base as it was before 100 %; an alarm tells people" in out
    assert json.loads(turnout("rollout", "plan", SALES, "--json")[1])["plan"]["approval"] == "one"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            (*DEFAULT_PLAN.rows[:2], replace(DEFAULT_PLAN.rows[-1], percent=98.0)),
            [
                "proof    passes when every check is proven to be within what it tolerates",
                "watched  is compared with the 2 % of users who stay with base; what fails is rolled back",
            ],
        ),
        (DEFAULT_PLAN.rows[:1], []),
    ],
)
def test_only_what_a_plan_has_is_explained(rows: tuple[Row, ...], words: list[str]):
    assert list(steering.passes(replace(DEFAULT_PLAN, rows=rows))) == words


def test_a_gate_is_checked_in_words_with_its_exit_code(turnout: Turnout, ledger: SqliteLedger):
    turnout("rollout", "start", SALES)
    keep(ledger, "hold")
    code, out, _ = turnout("gate", "check", SALES)

    assert code == 4
    assert "hold: It says hold." in out
    assert "620 of 10,000 users" in out


def test_a_forecast_is_unknown_where_nothing_was_measured(turnout: Turnout):
    code, out, _ = turnout("rollout", "plan", SALES, "--suggest")

    assert code == 0
    assert "Forecast: unknown; nothing measures" in out


def test_a_forecast_is_printed_with_the_plan_that_is_likelier(capsys: pytest.CaptureFixture[str]):
    rows = plan_rows(SHORT_PLAN)
    tolerated = tolerances(SHORT_PLAN)
    wider: dict[Check, Tolerance] = {**tolerated, "errors": replace(tolerated["errors"], absolute=0.01)}
    better = Suggestion(
        rows=rows, tolerances=wider, chance=0.5, chances=(0.9,) * len(rows), is_reached=False, widened=("errors",)
    )
    steering.write_forecast(
        PlanView(rollout=SALES, plan=SHORT_PLAN, chance=0.25, chances=(0.5, 0.5), suggestion=better)
    )

    out = capsys.readouterr().out
    assert "with a chance of 25%" in out
    assert "which is the likeliest within reach" in out
    assert "errors then tolerates 25 % more and 1 points more" in out


def test_a_gate_explains_itself_in_five_answers(turnout: Turnout):
    code, out, _ = turnout("gate", "explain", SALES)

    assert code == 3
    assert [line for line in out.splitlines() if line.endswith("?")] == list(gate.QUESTIONS.values())
    assert "Start the rollout, or set a percent by hand." in out
    assert set(json.loads(turnout("gate", "explain", SALES, "--json")[1])) == set(gate.QUESTIONS)


def test_a_gate_that_said_nothing_yet_is_collecting(turnout: Turnout):
    code, out, _ = turnout("gate", "check", SALES)

    assert (code, out) == (3, f"{SALES} has not started its plan; `turnout rollout start` does\n")


def test_a_gates_reports_are_listed_and_overrides_stay_visible(turnout: Turnout, ledger: SqliteLedger):
    turnout("rollout", "start", SALES)
    keep(ledger, "collecting")
    turnout("rollout", "advance", SALES, "--reason", "why not")

    assert "although the gate said collecting: why not" in turnout("gate", "check", SALES)[1]
    assert "It says collecting." in turnout("gate", "history", SALES)[1]
    report, _certificate = json.loads(turnout("gate", "history", SALES, "--json")[1])
    assert report["verdict"] == "collecting"
    assert json.loads(turnout("gate", "check", SALES, "--json")[1])["percent"] == 10.0


def test_who_starts_a_plan_where_no_console_runs_is_told_that_nobody_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with opened(tmp_path):
        pass
    root = argparse.ArgumentParser(prog="turnout")
    rollout.add_parser(root.add_subparsers(required=True))
    for wish, is_told in (("start", True), ("rollback", False)):
        arguments = root.parse_args(["rollout", wish, SALES, "--direct", "--state-dir", str(tmp_path)])

        assert arguments.run(arguments) == 0
        assert ("start `turnout serve`" in capsys.readouterr().err) == is_told
