"""The demonstration: two simulated model servers, and a configuration that splits between them. Texts only."""

from __future__ import annotations

ROLLOUT = "sales-companion"
BASE = "gpt-4o-mini"
CANDIDATE = "ft:gpt-4o-mini:acme:sales-v2:abc123"

SIMULATIONS = {
    "base": f"""# A simulated model server: what the base model does.
[models."{BASE}"]
ttft_ms = 60
ms_per_token = 1.0
output_tokens = 220
tokens_per_chunk = 16
""",
    "candidate": f"""# A simulated model server: what the fine-tuned model does. Its name is an illustration.
[models."{CANDIDATE}"]
ttft_ms = 70
ms_per_token = 1.1
output_tokens = 280
tokens_per_chunk = 16
""",
}


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

[applications.default]
user_header = "x-user-id"
expose = ["rollout", "model", "arm", "bucket"]
"""
