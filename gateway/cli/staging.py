"""What `turnout demo` plays on: its configuration with the declared plan, two simulated models, and the installation.

However the block ends, every process of it has ended; each of them also ends when this one dies.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from os import getpid
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.cli import Abort
from gateway.serve.demo import ROLLOUT
from gateway.settings.environment import process_environment
from gateway.simulate.demo import BASE_MODEL, CANDIDATE_MODEL
from gateway.simulate.stories import Story, base_simulation, candidate_simulation

TURNOUT = (sys.executable, "-m", "gateway")
CONFIG = "turnout.toml"
LOG = "serve.log"
_READY_S = 90.0
_END_S = 60.0
_LOOK_S = 0.1

PLAN = f"""[rollouts.{ROLLOUT}.plan]
approval = "auto" # between phases nobody is asked
steps = [
  {{ phase = "canary", percent = 30, dwell = "75s" }},
  # The slowest answers were proven in canary; here they would need more requests than a minute has.
  {{ phase = "beta", percent = 50, dwell = "50s", checks = ["errors", "p50", "ttft", "satisfaction"] }},
  {{ phase = "ga", percent = 100 }},
]

[rollouts.{ROLLOUT}.plan.margins]
errors = {{ relative = 0.25, absolute = 0.03, min_users = 100, min_requests = 500 }}
p50 = {{ ratio = 1.25, min_users = 100, min_requests = 500 }}
p99 = {{ ratio = 1.5, min_users = 100, min_requests = 500 }}
ttft = {{ ratio = 1.25, min_users = 100, min_requests = 200 }}
satisfaction = {{ absolute = 0.07, min_users = 100, min_requests = 300 }}
"""
"""The declared plan: steps of a minute need wide margins and small minima, chosen by computing how often it errs."""


def configuration(base_url: str, candidate_url: str) -> str:
    """Return the demonstration's `turnout.toml`."""
    return f"""# Written by `turnout demo`. Prices are illustrations, and the plan is for this demonstration alone.
[upstreams.simulated-base]
base_url = "{base_url}"

[upstreams.simulated-candidate]
base_url = "{candidate_url}"

[models."{BASE_MODEL}"]
upstream = "simulated-base"
price = {{ input = 0.15, cached_input = 0.075, output = 0.60 }}

[models."{CANDIDATE_MODEL}"]
upstream = "simulated-candidate"
price = {{ input = 0.30, cached_input = 0.15, output = 1.20 }}

[rollouts.{ROLLOUT}]
base = "{BASE_MODEL}"
candidate = "{CANDIDATE_MODEL}"
evidence = "off" # no evaluation came before
fallback = false # so that what the candidate fails at is seen

{PLAN}
[lake]
seal_every_s = 1

[applications.default]
expose = ["rollout", "model", "arm", "bucket"]
"""


def own_environment() -> dict[str, str]:
    """Return this process's environment without the variables that name another installation."""
    return {name: value for name, value in process_environment().items() if not name.startswith("TURNOUT_")}


@contextmanager
def installed(folder: Path, story: Story) -> Generator[str]:
    """Run the story's installation in a folder until the block ends; yield what it says once it is ready."""
    with ExitStack() as running:
        base = running.enter_context(_simulating(folder / "base.toml", base_simulation()))
        candidate = running.enter_context(_simulating(folder / "candidate.toml", candidate_simulation(story)))
        (folder / CONFIG).write_text(configuration(base, candidate))
        log = running.enter_context((folder / LOG).open("wb"))
        ports = ("--port", "0", "--console-port", "0", "--metrics-port", "0")
        words = ("serve", "--config", str(folder / CONFIG), "--state-dir", str(folder), *ports)
        serving = running.enter_context(started(words, log))
        yield _ready(serving, folder / LOG)


@contextmanager
def started(
    words: Sequence[str], log: BinaryIO, *, output: int | None = None, end_by: signal.Signals = signal.SIGTERM
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command until the block ends, in a process group of its own: Ctrl-C reaches this process alone.

    What it says goes to the log, its standard output to `output` if that is given.
    """
    from gateway.serve.running import die_with_parent  # noqa: PLC0415 - only this command needs it

    running = subprocess.Popen(
        [*TURNOUT, *words],
        stdin=subprocess.DEVNULL,
        stdout=log if output is None else output,
        stderr=log,
        env=own_environment(),
        process_group=0,
        preexec_fn=partial(die_with_parent, getpid()),  # noqa: PLW1509 - see there why it is safe
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            _finish(running, end_by)


@contextmanager
def _simulating(path: Path, text: str) -> Generator[str]:
    """Run a simulated model server; yield its base URL."""
    path.write_text(text)
    with path.with_suffix(".log").open("wb") as log:
        words = ("simulate", str(path), "--port", "0", "--json")
        with started(words, log, output=subprocess.PIPE) as simulating:
            line = simulating.stdout.readline() if simulating.stdout is not None else b""
            try:
                yield str(msgspec.json.decode(line)["base_url"])
            except msgspec.DecodeError as error:
                message = f"a simulated model did not start:\n{path.with_suffix('.log').read_text(errors='replace')}"
                raise Abort(message) from error
            finally:
                if simulating.stdout is not None:
                    simulating.stdout.close()


def _ready(serving: subprocess.Popen[bytes], log: Path) -> str:
    given_up_at = time.monotonic() + _READY_S
    while time.monotonic() < given_up_at:
        said = log.read_text(errors="replace")
        if "Turnout is ready" in said and "Try it" in said:
            return said
        if serving.poll() is not None:
            break
        time.sleep(_LOOK_S)
    message = f"the demonstration did not start. The end of its log:\n{log.read_text(errors='replace')[-2000:]}"
    raise Abort(message)


def _finish(running: subprocess.Popen[bytes], end_by: signal.Signals) -> None:
    """End it in good order; another Ctrl-C meanwhile changes nothing, for it takes a second or two."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        running.send_signal(end_by)
        try:
            running.wait(_END_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
    finally:
        for number, was in zip(numbers, before, strict=True):
            signal.signal(number, was)
