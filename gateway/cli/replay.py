"""`turnout replay`: send a trace of real arrivals through a running gateway, and say what came back."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import uvloop

from gateway.cli import INTERRUPTED, Abort
from gateway.cli.progress import Progress
from gateway.cli.table import write_json, write_table
from gateway.cli.target import find_target
from gateway.settings.environment import process_environment
from gateway.simulate import trace
from gateway.simulate.results import FeedbackSummary, Result, Summary, summarise, user_arms
from gateway.simulate.traffic import Wording, plan, prompt_bytes, user_key


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="send a trace of requests through a running gateway",
        description="Arrivals and token counts are the trace's; users and prompt texts are synthesised.",
    )
    add = parser.add_argument
    add("file", nargs="?", type=Path, default=trace.SHIPPED, metavar="FILE", help="a CSV trace, plain or gzipped")
    add("--url", help="the gateway ($TURNOUT_GATEWAY_URL, else the state directory's)")
    add("--key", help="an application key ($TURNOUT_APP_KEY, else the state directory's)")
    add("--state-dir", type=Path, metavar="DIR", help="where to find the gateway (turnout-data)")
    add("--model", default="sales-companion", metavar="NAME", help="the model that requests ask for (sales-companion)")
    add("--users", type=_count, default=2000, metavar="N", help="different users (2000)")
    add("--speed", type=_speed, default=60.0, metavar="N", help="time compression, or max (60)")
    add("--concurrency", type=_count, default=64, metavar="N", help="most requests under way at once (64)")
    add("--limit", type=_count, metavar="N", help="only the trace's first N rows")
    add("--stream-share", type=_share, default=0.5, metavar="N", help="share of streamed requests, 0 to 1 (0.5)")
    add("--max-prompt-bytes", type=_count, default=4096, metavar="N", help="longer prompts are cut (4096)")
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="draws users, streams, feedback; the same seed, the same replay (0)",
    )
    add("--feedback", type=_share, default=0.0, metavar="SHARE", help="share of requests that users rate, 0 to 1 (0)")
    add("--users-file", type=Path, metavar="PATH", help="write each user's arms there, one JSON object a line")
    add("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay; 1 when a request failed, or feedback was not accepted."""
    from gateway.cli import sending  # noqa: PLC0415 - `turnout --help` need not load an HTTP client
    from gateway.cli.post import Post  # noqa: PLC0415 - as above

    try:
        rows = trace.read(arguments.file, limit=arguments.limit)
    except trace.BadTraceError as error:
        raise Abort(str(error), exit_code=2) from error
    target = find_target(arguments.url, arguments.key, arguments.state_dir, process_environment())
    sending.check(target)
    wording = Wording(model=arguments.model, users=arguments.users, most_prompt_bytes=arguments.max_prompt_bytes)
    rng = Random(arguments.seed)
    planned = plan(rows, users=arguments.users, stream_share=arguments.stream_share, rng=rng)
    results: list[Result] = []
    progress = Progress(len(rows), sys.stderr)

    def seen(result: Result) -> None:
        results.append(result)
        progress.add(failed=result.failure is not None)

    pace = sending.Pace(speed=arguments.speed, concurrency=min(arguments.concurrency, len(rows)))

    async def replay() -> FeedbackSummary | None:
        post = Post(target, seed=arguments.seed, share=arguments.feedback) if arguments.feedback else None
        await sending.send_all(planned, wording, target, pace, seen, post=post)
        return post.summary() if post is not None else None

    started = time.monotonic()
    with _told(results, len(rows), progress):
        feedback = uvloop.run(replay())
    wall_s = time.monotonic() - started
    cut = sum(prompt_bytes(row) > wording.most_prompt_bytes for row in rows)
    summary = summarise(results, wall_s=wall_s, trace_s=rows[-1].at_s, prompts_cut=cut, feedback=feedback)
    if arguments.users_file is not None:
        _write_users(arguments.users_file, results, arguments.users)
    _print(summary, arguments)
    return 1 if summary.failed or (feedback is not None and feedback.failed) else 0


@contextmanager
def _told(results: Sequence[Result], total: int, progress: Progress) -> Generator[None]:
    """Leave the progress's line in the end; broken off by Ctrl-C, say how far it came."""
    try:
        yield
    except KeyboardInterrupt:
        progress.end()
        failed = sum(result.failure is not None for result in results)
        message = f"broken off: {len(results):,} of {total:,} requests were answered, {failed:,} of them failed"
        raise Abort(message, exit_code=INTERRUPTED) from None
    progress.end()


def _print(summary: Summary, arguments: argparse.Namespace) -> None:
    if arguments.json:
        write_json(summary)
        return
    write_table(("replay", ""), _facts(summary, arguments))
    sys.stdout.write("\n")
    write_table(
        (*("arm", "model", "requests", "failed", "users", "p50 ms", "p99 ms"), "TTFT p50", "TTFT p99", "tokens/answer"),
        [
            (
                *(arm.arm, arm.model, arm.requests, arm.failed, arm.users),
                *(_tenths(arm.latency_p50_ms), _tenths(arm.latency_p99_ms)),
                *(_tenths(arm.ttft_p50_ms), _tenths(arm.ttft_p99_ms)),
                _tenths(arm.output_tokens / arm.usage_answers) if arm.usage_answers else None,
            )
            for arm in summary.arms
        ],
    )


def _facts(summary: Summary, arguments: argparse.Namespace) -> list[tuple[str, str]]:
    users = f"{summary.users:,} of {arguments.users:,}"
    if summary.requests < arguments.users:
        users += f" ({summary.requests:,} requests are too few for all)"
    compression = "-" if summary.compression is None else f"{summary.compression:,.1f} times"
    share = summary.candidate_user_share
    arms = "-" if share is None else f"{share:.2%} ({summary.candidate_users:,} users)"
    return [
        ("requests", f"{summary.requests:,} ({summary.requests_per_s:,.0f}/s)"),
        ("failed", f"{summary.failed:,}" + (f" ({_listed(summary.failures)})" if summary.failed else "")),
        ("streamed", f"{summary.streamed:,}"),
        ("users (synthesised)", users),
        ("candidate's share of users", arms),
        ("users on both arms", f"{summary.users_on_both_arms:,}"),
        ("wall time", f"{summary.wall_s:,.1f} s for {summary.trace_s:,.1f} s of trace"),
        ("compression reached", compression),
        ("latest departure", f"{summary.late_max_ms:,.0f} ms behind the trace"),
        *_feedback_facts(summary),
        ("prompts cut (synthesised)", f"{summary.prompts_cut:,} at {arguments.max_prompt_bytes:,} bytes"),
    ]


def _feedback_facts(summary: Summary) -> list[tuple[str, str]]:
    told = summary.feedback
    if told is None:
        return []
    liked = "; ".join(f"{arm.arm}: {arm.liked / arm.opinions:.0%}" for arm in summary.arms if arm.opinions)
    failures = f" ({_listed(told.failures)})" if told.failed else ""
    return [
        (
            "feedback (synthesised)",
            f"{told.accepted:,} on {told.requests:,} requests, {told.late:,} late, {told.again:,} again",
        ),
        ("feedback failed", f"{told.failed:,}{failures}"),
        ("answers that users liked", liked or "-"),
    ]


def _listed(failures: dict[str, int]) -> str:
    return ", ".join(f"{word}: {count:,}" for word, count in failures.items())


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _write_users(path: Path, results: Sequence[Result], users: int) -> None:
    lines = user_arms(results, [user_key(user, users) for user in range(users)])
    try:
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror}); name another with --users-file"
        raise Abort(message) from error


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text[:10]) <= 10_000_000 or len(text) > 8:
        message = f"{text!r} is not a whole number from 1 to 10000000"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _share(text: str) -> float:
    return _between(text, 0.0, 1.0)


def _speed(text: str) -> float | None:
    return None if text == "max" else _between(text, 0.001, 1_000_000.0)


def _between(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        message = f"{text!r} is not a number from {low:g} to {high:g}"
        raise argparse.ArgumentTypeError(message)
    return value
