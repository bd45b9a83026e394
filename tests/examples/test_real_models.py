from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "real-models" / "run.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rollout_between_two_real_models_answers_and_records_tokens_and_first_tokens():
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("not exercised: the real models are not installed (make .venv/.ready-real-models)")
    told = subprocess.run(
        [sys.executable, str(EXAMPLE), "--requests", "16"], capture_output=True, text=True, check=False, timeout=280
    )

    assert told.returncode == 0, told.stderr
    assert re.search(r"16 requests of 20 users: base \d+, candidate \d+", told.stdout)
    table = told.stdout.partition("$ turnout report compare")[2]
    assert re.search(r"[Tt]okens per (response|answer)\D+[1-9]", table)
    assert re.search(r"[Ff]irst token\D+[1-9]", table)
