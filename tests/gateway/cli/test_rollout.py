from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli import Abort, rollout
from gateway.console.views import WorkerView
from rollout.stores.ledger import LEDGER_FILE
from tests.fakes.console import SALES, RunningConsole, opened, serving

WORKER = WorkerView(worker="w0", snapshot="1.1", in_flight=3, split_requests=4, split_without_user_key=4)
Turnout = Callable[..., tuple[int, str, str]]


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningConsole]:
    monkeypatch.delenv("TURNOUT_URL", raising=False)
    monkeypatch.delenv("TURNOUT_KEY", raising=False)
    with opened(tmp_path, workers=lambda: [WORKER]) as control, serving(control) as running:
        (tmp_path / "addresses.json").write_text(json.dumps({"console": running.url}))
        (tmp_path / "first-keys").write_text(f"admin {running.keys.admin}\n")
        yield running


@pytest.fixture
def turnout(tmp_path: Path, console: RunningConsole, capsys: pytest.CaptureFixture[str]) -> Turnout:
    root = argparse.ArgumentParser(prog="turnout")
    rollout.add_parser(root.add_subparsers(required=True))

    def run(*words: str) -> tuple[int, str, str]:
        try:
            arguments = root.parse_args(["rollout", *words, "--state-dir", str(tmp_path)])
            code = arguments.run(arguments)
        except Abort as abort:
            return (abort.exit_code, capsys.readouterr().out, f"{abort}")
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return (code, said.out, said.err)

    return run


def test_list_shows_what_is_configured(turnout: Turnout):
    code, out, _ = turnout("list")

    assert code == 0
    assert out.splitlines()[1].split() == [SALES, "finetuned_model_rollout", "0", "1", "1", "gpt", "tuned", "0"]


def test_set_moves_the_percent_and_says_from_where_to_where(turnout: Turnout, console: RunningConsole):
    code, out, _ = turnout("set", SALES, "12.5", "--reason", "step one")

    assert (code, out) == (
        0,
        f"{SALES}: 0 % > 12.5 %, version 2; workers decide by snapshot 1.3 within a second\n",
    )
    assert console.control.show(SALES).percent == 12.5
    assert turnout("set", SALES, "12.5")[1] == f"{SALES} is as it was: 12.5 %, version 2\n"


def test_set_and_list_say_that_a_change_waits_because_redis_is_away(turnout: Turnout, console: RunningConsole):
    console.control.follow(lambda: None, lambda: "Redis is away")

    code, out, _ = turnout("set", SALES, "12.5")
    assert (code, out) == (
        0,
        f"{SALES}: 0 % > 12.5 %, version 2; workers decide by snapshot 1.3 as soon as this is over: Redis is away\n",
    )
    waits = "changes do not reach the gateways, and wait until this is over: Redis is away"
    assert f"warning: {waits}\n" in turnout("list")[2]
    assert console.control.status().undistributed == "Redis is away"


def test_a_console_that_is_read_only_says_so_where_a_change_is_tried(turnout: Turnout, console: RunningConsole):
    console.control.follow(lambda: "another one writes: process 7", lambda: None)

    code, _, err = turnout("set", SALES, "12.5")

    assert code == 1
    assert "another one writes: process 7" in err
    assert "warning: another one writes: process 7\n" in turnout("list")[2]


def test_a_rollout_may_be_named_by_its_flag(turnout: Turnout, console: RunningConsole):
    assert turnout("set", "finetuned_model_rollout", "10")[0] == 0
    assert console.control.show(SALES).percent == 10.0


@pytest.mark.parametrize(
    ("percent", "sentence"),
    [
        ("-1", "percent -1 is outside 0 to 100"),
        ("100.001", "percent 100.001 is outside 0 to 100"),
        ("33.333", "percent 33.333 is finer than a bucket (0.01 %); write 33.33"),
        ("NaN", "percent 'NaN' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("5%", "percent '5%' is not a number; write 5"),
    ],
)
def test_a_bad_percent_exits_2_with_the_remedy(turnout: Turnout, console: RunningConsole, percent: str, sentence: str):
    assert turnout("set", SALES, percent) == (2, "", sentence)
    assert console.control.show(SALES).version == 1


@pytest.mark.parametrize(
    "words", [(), ("--reason", "none"), ("--force", "alice"), ("--force", "=base"), ("--force", "a=b")]
)
def test_what_makes_no_sense_exits_2(turnout: Turnout, words: tuple[str, ...]):
    code, _, error = turnout("set", SALES, *words)

    assert code == 2
    assert "nothing to set" in error or "is not USER=ARM" in error


def test_a_conflict_says_what_changed_by_whom_and_the_remedy(turnout: Turnout):
    turnout("set", SALES, "10")

    code, _, error = turnout("set", SALES, "25", "--if-version", "1")

    assert code == 1
    assert "it is now at version 2 with 10 %, changed by admin key" in error
    assert "you saw version 1. Look again, then repeat." in error


def test_users_are_forced_and_let_go(turnout: Turnout, console: RunningConsole):
    code, out, _ = turnout("set", SALES, "10", "--force", "a=b=candidate", "--force", "bob=base")
    forced = dict(console.control.show(SALES).forced)

    assert (code, "2 forced, version 4" in out) == (0, True)
    assert sorted(forced.values()) == ["base", "candidate"]
    shown = turnout("show", SALES)[1]
    assert all(f"forced      {user_hash} to {arm}\n" in shown for user_hash, arm in forced.items())
    user_hash = console.control.whois("bob")[0].user_hash
    assert turnout("set", SALES, "--unforce", "a=b", "--unforce-hash", user_hash)[0] == 0
    assert console.control.show(SALES).forced == {}


def test_show_prints_state_salt_workers_and_warnings(turnout: Turnout, console: RunningConsole):
    code, out, error = turnout("show", SALES)

    facts = dict(line.split(None, 1) for line in out.splitlines())
    assert code == 0
    assert (facts["percent"], facts["version"], facts["base"], facts["candidate"]) == ("0", "1", "gpt", "tuned")
    assert facts["salt"] == console.control.show(SALES, with_salt=True).salt
    assert facts["worker"] == "w0: snapshot 1.1, 3 in flight"
    assert "warning: 4 of 4 split requests carried no user key" in error


def test_list_prints_each_warning_once_and_has_them_in_json(turnout: Turnout, console: RunningConsole):
    console.control.refused = ["rollouts.a: unknown key"]

    code, _, error = turnout("list")
    as_json = json.loads(turnout("list", "--json")[1])

    refused, *others = as_json[0]["warnings"]
    assert code == 0
    assert others
    assert error.splitlines() == [f"warning: {warning}" for warning in (refused, *others)]
    assert refused.endswith("stays in force: rollouts.a: unknown key")


def test_history_tells_who_why_and_that_the_chain_is_whole(turnout: Turnout):
    turnout("set", SALES, "10", "--reason", "step one", "--force", "alice=base")

    code, out, _ = turnout("history", SALES, "--verify")

    assert code == 0
    assert "percent 0 > 10" in out
    assert "step one" in out
    assert "arm - > base" in out
    assert out.endswith("the audit chain is whole\n")
    assert "alice" not in out


@pytest.mark.parametrize("words", [("history", SALES, "--verify"), ("history", SALES, "--verify", "--json")])
def test_a_broken_chain_exits_1(turnout: Turnout, tmp_path: Path, words: tuple[str, ...]):
    with closing(sqlite3.connect(tmp_path / LEDGER_FILE, isolation_level=None)) as ledger:
        ledger.execute("DROP TRIGGER audit_is_never_altered")
        ledger.execute("UPDATE audit SET actor = 'nobody', after = '[]' WHERE rollout IS NOT NULL")

    code, _, error = turnout(*words)

    assert code == 1
    assert "the audit chain is broken: audit entry 2 was altered" in error


def test_whois_tells_arm_reason_and_bucket(turnout: Turnout):
    turnout("set", SALES, "100")

    code, out, _ = turnout("whois", "alice", "--rollout", SALES)

    assert code == 0
    assert out.splitlines()[1].split()[:3] == [SALES, "candidate", "split"]


@pytest.mark.parametrize(
    "words", [("list",), ("show", SALES), ("set", SALES, "10"), ("whois", "a"), ("history", SALES)]
)
def test_json_is_for_programs(turnout: Turnout, words: tuple[str, ...]):
    code, out, _ = turnout(*words, "--json")

    assert code == 0
    assert json.loads(out)


def test_an_unknown_rollout_exits_1_with_the_known_ones(turnout: Turnout):
    code, _, error = turnout("show", "nothing")

    assert (code, SALES in error) == (1, True)
