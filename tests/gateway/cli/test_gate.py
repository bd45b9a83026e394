from __future__ import annotations

import argparse

import pytest

from gateway.cli import Abort, gate
from gateway.cli.gate import EXITS, exit_code
from gateway.console.gate_views import gate_view
from rollout.progress import Standing
from rollout.verdict import Verdict
from tests.fakes.plans import AT, SHORT_PLAN, held, said, standing


def test_every_verdict_has_the_exit_code_of_the_manual():
    assert EXITS == {"pass": 0, "fail": 1, "collecting": 3, "inconclusive": 3, "hold": 4}


@pytest.mark.parametrize(
    ("verdict", "where", "code"),
    [
        (None, "idle", 3),
        ("pass", "running", 0),
        ("fail", "running", 1),
        ("collecting", "running", 3),
        ("inconclusive", "inconclusive", 3),
        ("hold", "running", 4),
        ("collecting", "awaiting", 0),
        (None, "at_ga", 0),
        ("hold", "awaiting", 4),
        ("fail", "at_ga", 1),
        ("collecting", "rolled_back", 1),
    ],
)
def test_the_exit_code_is_the_gates(verdict: Verdict | None, where: Standing, code: int):
    one = held(standing(where, report=said(verdict) if verdict is not None else None))

    assert exit_code(gate_view(one, SHORT_PLAN, [], at=AT)) == code


@pytest.mark.parametrize("number", ["-1", "501"])
def test_more_reports_than_a_console_gives_are_not_asked_for(number: str):
    root = argparse.ArgumentParser(prog="turnout")
    gate.add_parser(root.add_subparsers(required=True))
    arguments = root.parse_args(["gate", "history", "sales", "--reports", number])

    with pytest.raises(Abort, match=f"--reports {number}: write a number from 0 to 500") as said:
        arguments.run(arguments)
    assert said.value.exit_code == 2


def test_a_gate_is_asked_of_one_rollout(capsys: pytest.CaptureFixture[str]):
    root = argparse.ArgumentParser(prog="turnout")
    gate.add_parser(root.add_subparsers(required=True))

    with pytest.raises(SystemExit) as end:
        root.parse_args(["gate", "check"])
    assert end.value.code == 2
    assert "NAME" in capsys.readouterr().err
