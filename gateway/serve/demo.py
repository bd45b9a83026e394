"""The demonstration's `turnout.toml`: one rollout between the two models of `gateway/simulate/demo.py`. Text only."""

from __future__ import annotations

from gateway.simulate.demo import BASE_MODEL as BASE
from gateway.simulate.demo import CANDIDATE_MODEL as CANDIDATE

ROLLOUT = "sales-companion"


def configuration(base_port: int, candidate_port: int) -> str:
    """Return the demonstration's `turnout.toml` for two simulated servers on these ports of this machine."""
    return f"""# Written by `turnout serve --demo`: two simulated models, one rollout. Prices are illustrations.
[upstreams.simulated-base]
base_url = "http://127.0.0.1:{base_port}/v1"

[upstreams.simulated-candidate]
base_url = "http://127.0.0.1:{candidate_port}/v1"

[models."{BASE}"]
upstream = "simulated-base"
price = {{ input = 0.15, cached_input = 0.075, output = 0.60 }}

[models."{CANDIDATE}"]
upstream = "simulated-candidate"
price = {{ input = 0.30, cached_input = 0.15, output = 1.20 }}

[rollouts.{ROLLOUT}]
also_for = ["{BASE}"]
flag = "finetuned_model_rollout"
base = "{BASE}"
candidate = "{CANDIDATE}"

[lake]
seal_every_s = 1

[applications.default]
user_header = "x-user-id"
expose = ["rollout", "model", "arm", "bucket"]
"""
