"""The smallest `turnout.toml` with a rollout; its upstream is a port where nobody listens."""

from __future__ import annotations

CONFIG = """
[upstreams.openai]
base_url = "http://127.0.0.1:9/v1"

[models.gpt]
upstream = "openai"

[models.tuned]
upstream = "openai"

[rollouts.sales-companion]
base = "gpt"
candidate = "tuned"
"""
