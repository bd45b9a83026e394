"""The simulation files of the demonstration, by arm. Texts alone; no I/O.

The delays are those of a real service (an answer in about 1.2 s, the candidate's in about 1.6 s), ten times shorter:
so the shipped trace fits into a minute with fewer than 64 requests under way at once. Its seed makes all shows alike.
"""

from __future__ import annotations

BASE_MODEL = "gpt-4o-mini"
CANDIDATE_MODEL = "ft:gpt-4o-mini:acme:sales-v2:abc123"

SIMULATIONS = {
    "base": f"""# A simulated model server: the base model.
time_scale = 0.1
seed = 7

[models."{BASE_MODEL}"]
ttft_ms = 400
ms_per_token = 2.9
output_tokens = 280
tokens_per_chunk = 16
cached_share = 0.2
quality = 0.68
""",
    "candidate": f"""# A simulated model server: the fine-tuned one, liked better, slower, briefer; its name is made up.
time_scale = 0.1
seed = 7

[models."{CANDIDATE_MODEL}"]
ttft_ms = 480
ms_per_token = 5.2
output_tokens = 280
length_factor = 0.8
tokens_per_chunk = 16
cached_share = 0.2
quality = 0.82
""",
}
