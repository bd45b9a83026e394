"""An installation whose upstream is the oracle, asked by the oracle's callers, beside the simulated models."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from analytics.lake.verify import Verification
from tests.acceptance.harness import CONFIG, SIMULATED, Installation, command, installed
from tests.fakes.books import ROWS, disagreements
from tests.fakes.oracle import OracleUpstream
from tests.fakes.oracle_client import Asked, Target, asking
from tests.fakes.upstream import serving

ROLLOUT = "oracle"
PERCENT = 50
_FRESH_SEED = 0
_FRESH = 8
"""Questions enough that both ways of asking, both arms and all workers have their turn."""
_MODELS = """
[upstreams.oracle]
base_url = "http://127.0.0.1:{port}/v1"

[models.oracle-base]
upstream = "oracle"
{limits}

[models.oracle-tuned]
upstream = "oracle"
{limits}

[rollouts.oracle]
base = "oracle-base"
candidate = "oracle-tuned"
fallback = false
"""
"""Both arms are the oracle, which is to hear every question once: base does not ask what the candidate failed."""


@dataclass(kw_only=True)
class Laboratory:
    """A running installation and its oracle; `target` is where and how callers ask."""

    one: Installation
    oracle: OracleUpstream
    target: Target
    fresh: int = 0

    @property
    def port(self) -> int:
        """Return the gateway's port."""
        return urlsplit(self.one.gateway).port or 0

    def verify(self, asked: Sequence[Asked], *, unfinished: Collection[str] = ()) -> Verification:
        """Check that all is well again and that the books agree; return what the lake holds.

        To see that all is well it asks `fresh` questions more than the test did.
        """
        fresh = self._ask_fresh()
        found = self.one.settle()
        rows = self.one.lake(ROWS, settled=False)

        self.fresh = len(fresh)
        assert {answer.fate for answer in fresh} == {"whole"}, fresh
        wrong = disagreements([*asked, *fresh], self.oracle, rows, unfinished=unfinished)
        assert not wrong, wrong
        assert found.sound, found
        return found

    def _ask_fresh(self) -> list[Asked]:
        """Ask some questions now, and return them with their answers."""
        enough = threading.Event()
        with asking(self.target, _FRESH_SEED, run="fresh", at_once=2) as asked:
            while len(asked) < _FRESH:
                enough.wait(0.01)
        return asked


@contextmanager
def laboratory(
    folder: Path, *, workers: int = 2, limits: str = "", link: Callable[[int], int] = lambda port: port
) -> Iterator[Laboratory]:
    """Run one; `limits` are keys of the oracle's models, `link` may put another port before the oracle's."""
    oracle = OracleUpstream()
    with serving(oracle.script) as upstream:
        models = _MODELS.format(port=link(upstream.port), limits=limits)
        config = CONFIG.replace("workers = 2", f"workers = {workers}") + models
        with installed(folder, config=config, simulated=SIMULATED) as one:
            one.set_percent(PERCENT, ROLLOUT)
            one.set_percent(PERCENT)
            target = Target(url=one.gateway, key=one.keys["application"], model=ROLLOUT)
            yield Laboratory(one=one, oracle=oracle, target=target)


@contextmanager
def replaying(one: Installation, rows: int) -> Iterator[list[dict[str, Any]]]:
    """Replay the trace's first rows to the simulated models, again and again while the block lasts.

    The list holds the summaries of what has ended; a replay that could not begin, because no worker lived, has none.
    """
    summaries: list[dict[str, Any]] = []
    over = threading.Event()
    sizes = ["--limit", str(rows), "--users", "200", "--max-prompt-bytes", "512"]
    words = command("replay", *sizes, "--speed", "30", "--concurrency", "8", "--json")

    def keep_replaying() -> None:
        while not over.is_set():
            ended = subprocess.run(words, cwd=one.folder, env=one.environment, capture_output=True, check=False)
            if ended.stdout:
                summaries.append(json.loads(ended.stdout))
            over.wait(0.1)

    thread = threading.Thread(target=keep_replaying)
    thread.start()
    try:
        yield summaries
    finally:
        over.set()
        thread.join()
