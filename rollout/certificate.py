"""The gate before traffic: what a certificate has to be before a candidate gets its first request. Pure.

Law: no proof, no pass. A certificate that is absent, unsigned, about other models, too old, or whose plan was locked
after its evidence had begun to come in, proves nothing; it is inconclusive, and only its own result can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from rollout.durations import DAY_S, spoken
from rollout.phase import Certified, FrozenStep
from rollout.verdict import CheckReport, GateReport, Verdict

LONGEST_S = 30 * DAY_S
_US = 1_000_000


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate reads of a certificate of evaluation. Times are µs since 1970 UTC.

    `is_signed`: its signature fits this installation. `base` and `candidate` are fingerprints of the models compared.
    `locked_at`: when its plan was locked; `first_event_at`: when its first answer or rating came in, None without any.
    """

    result: Literal["pass", "fail", "inconclusive"]
    is_signed: bool
    base: str
    candidate: str
    locked_at: int | None
    first_event_at: int | None
    issued_at: int


class Arms(msgspec.Struct, frozen=True, kw_only=True):
    """The fingerprints of a rollout's models."""

    base: str
    candidate: str


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a rollout may start; `banner` is shown while it runs and noted in the audit, unless it is empty."""

    is_allowed: bool
    banner: str = ""


def judge_certificate(step: FrozenStep, certificate: Certificate | None, arms: Arms, *, at: int) -> GateReport:
    """Return the verdict of the plan's first row (`at`: µs since 1970 UTC): pass, fail or inconclusive."""
    verdict, words = _judged(certificate, arms, at)
    check = CheckReport(check="certificate", verdict=verdict, words=f"certificate: {verdict}. {words}")
    return GateReport(
        rollout=step.rollout,
        generation=step.generation,
        step=step.step,
        digest=step.digest,
        gate=step.row.gate,
        at=at,
        running_s=0.0,
        look=0,
        verdict=verdict,
        summary=check.words,
        checks=(check,),
    )


def may_start(report: GateReport, certified: Certified) -> Start:
    """Return whether canary may begin with this report of the first row, by the rollout's `evidence`."""
    if certified == "off" or report.verdict == "pass":
        return Start(is_allowed=True)
    if certified == "required":
        remedy = 'get a passed certificate, or set evidence = "advised" in turnout.toml'
        return Start(is_allowed=False, banner=f"The rollout does not start. {report.summary}; {remedy}")
    return Start(is_allowed=True, banner=f"Started without a passed certificate. {report.summary}")


def _judged(certificate: Certificate | None, arms: Arms, at: int) -> tuple[Verdict, str]:
    if certificate is None:
        return "inconclusive", "There is none: the candidate was not evaluated before traffic"
    foreign = list(_foreign(certificate, arms))
    if certificate.result == "fail" and not foreign:
        return "fail", "The evaluation found the candidate worse than base"
    faults = [*foreign, *_faults(certificate, at)]
    if faults:
        return "inconclusive", faults[0]
    if certificate.result == "inconclusive":
        return "inconclusive", "The evaluation could not tell the models apart as planned"
    return "pass", f"The candidate passed its evaluation {spoken((at - certificate.issued_at) / _US)} ago"


def _foreign(certificate: Certificate, arms: Arms) -> Iterator[str]:
    """Yield why a certificate says nothing of this rollout."""
    if not certificate.is_signed:
        yield "Its signature does not fit this installation"
    if (certificate.base, certificate.candidate) != (arms.base, arms.candidate):
        yield "It is about other models than this rollout's"


def _faults(certificate: Certificate, at: int) -> Iterator[str]:
    """Yield why a certificate that is about this rollout proves nothing."""
    if certificate.locked_at is None or certificate.first_event_at is None:
        yield "Its plan was not locked, or nothing was evaluated"
    elif certificate.locked_at >= certificate.first_event_at:
        yield "Its plan was locked after the evaluation had begun"
    age_s = (at - certificate.issued_at) / _US
    if age_s < 0:
        yield "It was issued in the future; set the clocks right"
    elif age_s > LONGEST_S:
        yield f"It is older than {spoken(LONGEST_S)}"
