"""The network spoils connections as a drawn schedule says; the lake knows who got an answer and who did not."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.link import linked
from tests.fakes.oracle_client import asking
from tests.fakes.schedule import draw_happenings, play
from tests.faults.laboratory import laboratory

log = logging.getLogger("faults")
pytestmark = pytest.mark.timeout(300)
LIMITS = """connect_timeout_s = {limit_s}
first_byte_timeout_s = {limit_s}
answer_timeout_s = {limit_s}
idle_timeout_s = {limit_s}
total_timeout_s = 6.0
"""
OUTLASTING = 1.5
"""The longest fault is so many times as long as the limits, so that what is swallowed runs into them."""
happenings = pytest.mark.parametrize(
    ("count", "longest_s"), [(5, 1.5), pytest.param(50, 3.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)


@happenings
def test_faults_between_gateway_and_model_are_recorded_as_the_caller_saw_them(
    count: int, longest_s: float, fault_seed: int, tmp_path: Path
):
    with ExitStack() as running:
        links = []

        def link(port: int) -> int:
            links.append(running.enter_context(linked(port)))
            return links[0].port

        lab = running.enter_context(
            laboratory(tmp_path, limits=LIMITS.format(limit_s=longest_s / OUTLASTING), link=link)
        )
        with asking(lab.target, fault_seed) as asked:
            play(draw_happenings(fault_seed, count=count, longest_s=longest_s), links[0])

        found = lab.verify(asked, unfinished={"upstream_error", "timeout", "malformed"})

        fates = Counter(one.fate for one in asked)
        log.info("%d faults before the model: %s, lake: %s", count, fates, found.outcomes)
        assert fates["whole"] > 0
        assert all(one.is_ended for one in asked)
        assert found.outcomes["ok"] == fates["whole"] + lab.fresh
        assert found.records == len(asked) + lab.fresh


@pytest.mark.slow
@happenings
def test_faults_between_caller_and_gateway_lose_no_record(
    count: int, longest_s: float, fault_seed: int, tmp_path: Path
):
    with laboratory(tmp_path) as lab, linked(lab.port) as link:
        spoiled = replace(lab.target, url=f"http://127.0.0.1:{link.port}")
        with asking(spoiled, fault_seed) as asked:
            play(draw_happenings(fault_seed, count=count, longest_s=longest_s), link)

        found = lab.verify(asked, unfinished={"client_cancelled"})

        fates = Counter(one.fate for one in asked)
        log.info("%d faults before the gateway: %s, lake: %s", count, fates, found.outcomes)
        assert fates["whole"] > 0
        assert fates.keys() <= {"whole", "broken"}
