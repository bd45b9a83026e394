"""`turnout report cost`, `errors` and `traffic` at a running console, and at a stopped installation's files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import Abort, report
from tests.fakes.console import SALES, opened, serving
from tests.fakes.handmade_lake import HandmadeLake, record

Turnout = Callable[..., tuple[int, str, str]]
BEGINNINGS = {
    "cost": "All traffic: 2 requests, 2026-09-21 14:13:21Z to 2026-09-21 14:13:22Z\ntotal cost: $0.75, of 2 ",
    "errors": "All traffic: 2 requests, 2026-09-21 14:13:21Z to 2026-09-21 14:13:22Z\n1 failed (50.0 %); ",
    "traffic": f"Rollout {SALES}, generation 1: 1 requests, 2026-09-21 14:13:21Z to ",
}


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    made = HandmadeLake(tmp_path / "lake")
    split = {"rollout": SALES, "generation": 1, "step": 1, "percent": 50.0, "reason": "split", "bucket": 1}
    made.put([record(1, **split, arm_assigned="base", user_hash=b"1" * 16, cost_usd=0.25)])
    made.put([record(2, application="batch", outcome="timeout", error_class="idle_timeout", cost_usd=0.5)])
    return made


@pytest.fixture
def turnout(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Turnout:
    monkeypatch.delenv("TURNOUT_URL", raising=False)
    monkeypatch.delenv("TURNOUT_KEY", raising=False)
    root = argparse.ArgumentParser(prog="turnout")
    report.add_parser(root.add_subparsers(required=True))

    def run(*words: str) -> tuple[int, str, str]:
        arguments = root.parse_args(["report", *words, "--state-dir", str(tmp_path)])
        try:
            code = arguments.run(arguments)
        except Abort as abort:
            return abort.exit_code, capsys.readouterr().out, f"{abort}"
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def running(tmp_path: Path, lake: HandmadeLake) -> Iterator[None]:
    with opened(tmp_path) as control, serving(control, lake.root) as console:
        (tmp_path / "addresses.json").write_text(json.dumps({"console": console.url}))
        (tmp_path / "first-keys").write_text(f"admin {console.keys.admin}\n")
        yield


@pytest.mark.usefixtures("running")
def test_each_report_is_a_table_and_json(turnout: Turnout):
    for kind, beginning in BEGINNINGS.items():
        code, out, _ = turnout(kind)
        assert (code, out[: len(beginning)]) == (0, beginning)
    found: dict[str, Any] = {kind: json.loads(turnout(kind, "--json")[1]) for kind in BEGINNINGS}

    assert found["cost"]["total"]["cost_usd"] == 0.75
    assert [one["error_class"] for one in found["errors"]["groups"]] == ["idle_timeout"]
    assert found["traffic"]["steps"][0]["base_users"] == 1


@pytest.mark.usefixtures("running")
def test_options_narrow_each_report_and_a_wrong_one_ends_in_a_sentence(turnout: Turnout):
    narrowed = json.loads(turnout("cost", SALES, "--step", "1", "--since", "2026-09-21", "--json")[1])

    assert (narrowed["total"]["requests"], narrowed["asked"]["step"]) == (1, 1)
    assert turnout("errors", "--application", "shop") == (
        1,
        "",
        "no request of the application 'shop'; there are: batch",
    )
    assert turnout("errors", "--all")[1] == turnout("errors")[1]


@pytest.mark.usefixtures("lake")
def test_a_stopped_installations_files_give_the_same_reports(tmp_path: Path, turnout: Turnout):
    with opened(tmp_path):
        pass
    told = {kind: turnout(kind, "--direct", "--lake", str(tmp_path / "lake"))[1] for kind in BEGINNINGS}

    assert {kind: out[: len(BEGINNINGS[kind])] for kind, out in told.items()} == BEGINNINGS
