"""What `turnout demo` plays on: its configuration with the declared plan, two simulated models, and the installation.

However the block ends, every process of it has ended.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.cli import Abort
from gateway.cli.troupe import Troupe, together
from gateway.serve.demo import ROLLOUT
from gateway.simulate.demo import BASE_MODEL, CANDIDATE_MODEL
from gateway.simulate.stories import Story, base_simulation, candidate_simulation

CONFIG = "turnout.toml"
LOG = "serve.log"
_READY_S = 90.0
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


@contextmanager
def installed(folder: Path, story: Story) -> Generator[tuple[str, Troupe]]:
    """Run the story's installation in a folder until the block ends.

    Yield what it says once it is ready, and the troupe of its processes, which whoever plays may join.
    """
    with together() as troupe:
        simulations = {"base": base_simulation(), "candidate": candidate_simulation(story)}
        simulating = {name: _simulating(folder / f"{name}.toml", text, troupe) for name, text in simulations.items()}
        urls = {name: _base_url(one, folder / f"{name}.log") for name, one in simulating.items()}
        (folder / CONFIG).write_text(configuration(urls["base"], urls["candidate"]))
        ports = ("--port", "0", "--console-port", "0", "--metrics-port", "0")
        words = ("serve", "--config", str(folder / CONFIG), "--state-dir", str(folder), *ports)
        serving = troupe.start(words, folder / LOG)
        yield _ready(serving, folder / LOG), troupe


def _simulating(path: Path, text: str, troupe: Troupe) -> subprocess.Popen[bytes]:
    """Start a simulated model server."""
    path.write_text(text)
    return troupe.start(("simulate", str(path), "--port", "0", "--json"), path.with_suffix(".log"), is_heard=True)


def _base_url(simulating: subprocess.Popen[bytes], log: Path) -> str:
    """Return where a simulated model server listens, as soon as it says so."""
    said = b""
    if simulating.stdout is not None:
        with simulating.stdout as output:
            said = output.readline()
    try:
        return str(msgspec.json.decode(said)["base_url"])
    except msgspec.DecodeError as error:
        message = f"a simulated model did not start:\n{log.read_text(errors='replace')}"
        raise Abort(message) from error


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
