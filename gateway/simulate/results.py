"""What a replay saw: one result per request, summed up per arm. No I/O."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

NO_ARM = "-"
"""The arm of answers that name none: those of something that is not a gateway, or does not expose it."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How one request went; `failure` is None, or a status or short word. Tokens are None unless usage was reported.

    `liked` is what its user said of the answer, None when nothing.
    """

    user: int
    stream: bool
    arm: str | None = None
    model: str | None = None
    failure: str | None = None
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    late_ms: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    liked: bool | None = None


class FeedbackSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Feedback on so many `requests`: messages that were accepted, of these `late` and sent `again`, and failures."""

    requests: int
    accepted: int
    late: int
    again: int
    failed: int
    failures: dict[str, int]


class ArmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: latencies of answers without failure; tokens are sums over the `usage_answers` that reported them.

    `opinions` counts answers that users gave feedback on, `liked` those of them that they praised.
    """

    arm: str
    model: str | None
    requests: int
    failed: int
    users: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    usage_answers: int
    input_tokens: int
    output_tokens: int
    opinions: int
    liked: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole replay; `candidate_user_share` (0-1) is of users with an arm, None when no answer named one."""

    requests: int
    failed: int
    failures: dict[str, int]
    streamed: int
    users: int
    users_on_both_arms: int
    candidate_users: int
    candidate_user_share: float | None
    arms: list[ArmSummary]
    wall_s: float
    trace_s: float
    compression: float | None
    requests_per_s: float
    late_max_ms: float
    prompts_cut: int
    feedback: FeedbackSummary | None = None


class UserArm(msgspec.Struct, frozen=True, kw_only=True):
    """One user's requests on one arm."""

    user: str
    arm: str
    requests: int


def summarise(
    results: Sequence[Result],
    *,
    wall_s: float,
    trace_s: float,
    prompts_cut: int,
    feedback: FeedbackSummary | None = None,
) -> Summary:
    """Add up a replay that took `wall_s` for `trace_s` seconds of trace."""
    arms_of: dict[int, set[str]] = defaultdict(set)
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result.arm or NO_ARM].append(result)
        if result.arm:
            arms_of[result.user].add(result.arm)
    candidates = sum("candidate" in arms for arms in arms_of.values())
    failures = Counter(result.failure for result in results if result.failure is not None)
    return Summary(
        requests=len(results),
        failed=failures.total(),
        failures=dict(sorted(failures.items())),
        streamed=sum(result.stream for result in results),
        users=len({result.user for result in results}),
        users_on_both_arms=sum(len(arms) > 1 for arms in arms_of.values()),
        candidate_users=candidates,
        candidate_user_share=candidates / len(arms_of) if arms_of else None,
        arms=[_arm(name, by_arm[name]) for name in sorted(by_arm)],
        wall_s=wall_s,
        trace_s=trace_s,
        compression=trace_s / wall_s if wall_s and trace_s else None,
        requests_per_s=len(results) / wall_s if wall_s else 0.0,
        late_max_ms=max((result.late_ms for result in results), default=0.0),
        prompts_cut=prompts_cut,
        feedback=feedback,
    )


def _arm(name: str, results: list[Result]) -> ArmSummary:
    good = [result for result in results if result.failure is None]
    latencies = sorted(result.latency_ms for result in good)
    ttfts = sorted(result.ttft_ms for result in good if result.ttft_ms is not None)
    told = [result for result in good if result.output_tokens is not None]
    return ArmSummary(
        arm=name,
        model=", ".join(sorted({result.model for result in results if result.model})) or None,
        requests=len(results),
        failed=len(results) - len(good),
        users=len({result.user for result in results}),
        latency_p50_ms=quantile(latencies, 0.5),
        latency_p99_ms=quantile(latencies, 0.99),
        ttft_p50_ms=quantile(ttfts, 0.5),
        ttft_p99_ms=quantile(ttfts, 0.99),
        usage_answers=len(told),
        input_tokens=sum(result.input_tokens or 0 for result in told),
        output_tokens=sum(result.output_tokens or 0 for result in told),
        opinions=sum(result.liked is not None for result in results),
        liked=sum(bool(result.liked) for result in results),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile of ordered values, None of none."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def user_arms(results: Iterable[Result], names: Sequence[str]) -> list[UserArm]:
    """Return how often each user was answered by each arm; `names` are the user keys."""
    seen = Counter((result.user, result.arm or NO_ARM) for result in results)
    return [UserArm(user=names[user], arm=arm, requests=count) for (user, arm), count in sorted(seen.items())]
