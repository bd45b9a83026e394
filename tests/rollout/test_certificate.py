"""The gate before traffic: what passes, what fails, and that everything else proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.certificate import Arms, Certificate, judge_certificate, may_start
from rollout.durations import DAY_S
from rollout.gate import GateReport
from tests.fakes.evidence import AT, step

ARMS = Arms(base="b1", candidate="c1")
US = 1_000_000


def certificate(**given: Any) -> Certificate:
    whole: dict[str, Any] = {
        "result": "pass",
        "is_signed": True,
        "base": "b1",
        "candidate": "c1",
        "locked_at": AT - 30 * US,
        "first_event_at": AT - 20 * US,
        "issued_at": AT - 2 * int(DAY_S) * US,
    }
    return Certificate(**{**whole, **given})


def judged(given: Certificate | None) -> GateReport:
    return judge_certificate(step(0), given, ARMS, at=AT)


def test_a_whole_certificate_passes():
    report = judged(certificate())

    assert report.verdict == "pass"
    assert report.summary == "certificate: pass. The candidate passed its evaluation 2 d ago"
    assert report.gate == "certificate"
    assert report.digest == step(0).digest


def test_a_certificate_of_thirty_days_passes_still():
    assert judged(certificate(issued_at=AT - 30 * int(DAY_S) * US)).verdict == "pass"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"is_signed": False}, "Its signature does not fit this installation"),
        ({"base": "b2"}, "It is about other models than this rollout's"),
        ({"candidate": "c2"}, "It is about other models than this rollout's"),
        ({"is_signed": False, "result": "fail"}, "Its signature does not fit this installation"),
        ({"locked_at": None}, "Its plan was not locked, or nothing was evaluated"),
        ({"first_event_at": None}, "Its plan was not locked, or nothing was evaluated"),
        ({"locked_at": AT - 20 * US}, "Its plan was locked after the evaluation had begun"),
        ({"issued_at": AT - 30 * int(DAY_S) * US - US}, "It is older than 30 d"),
        ({"issued_at": AT + US}, "It was issued in the future; set the clocks right"),
        ({"result": "inconclusive"}, "The evaluation could not tell the models apart as planned"),
    ],
)
def test_what_is_not_whole_proves_nothing(given: dict[str, Any], words: str):
    report = judged(certificate(**given))

    assert report.verdict == "inconclusive"
    assert report.summary == f"certificate: inconclusive. {words}"


def test_a_failed_evaluation_fails_however_old():
    assert judged(certificate(result="fail")).verdict == "fail"
    assert judged(certificate(result="fail", issued_at=0)).verdict == "fail"


def test_without_a_certificate_nothing_is_proven():
    assert judged(None).verdict == "inconclusive"


def test_what_is_required_keeps_a_rollout_from_starting():
    none = judged(None)

    assert may_start(judged(certificate()), "required").is_allowed
    assert not may_start(none, "required").is_allowed
    assert may_start(none, "required").banner == (
        "The rollout does not start. certificate: inconclusive. There is none: the candidate was not evaluated before "
        'traffic; get a passed certificate, or set evidence = "advised" in turnout.toml'
    )
    assert may_start(none, "advised").is_allowed
    assert may_start(none, "advised").banner.startswith("Started without a passed certificate. ")
    assert may_start(none, "off").banner == ""
