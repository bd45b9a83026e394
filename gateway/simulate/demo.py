"""The two simulated servers of the demonstration. Values alone; no I/O.

The delays are those of a real service (an answer in about 1.2 s, the candidate's in about 1.3 s), ten times shorter:
so the shipped trace fits into a minute with fewer than 64 requests under way at once.
"""

from __future__ import annotations

from gateway.simulate.config import SimulatedModel, Simulation

BASE_MODEL = "gpt-4o-mini"
CANDIDATE_MODEL = "ft:gpt-4o-mini:acme:sales-v2:abc123"
TIME_SCALE = 0.1

BASE = Simulation(
    time_scale=TIME_SCALE,
    models={BASE_MODEL: SimulatedModel(ttft_ms=400, ms_per_token=2.9, output_tokens=280, cached_share=0.2)},
)
CANDIDATE = Simulation(
    time_scale=TIME_SCALE,
    models={CANDIDATE_MODEL: SimulatedModel(ttft_ms=430, ms_per_token=4.0, output_tokens=220, cached_share=0.2)},
)

SERVERS = {"base": BASE, "candidate": CANDIDATE}
"""By arm."""
