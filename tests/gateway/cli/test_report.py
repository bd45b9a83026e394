from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gateway.cli import Abort, report
from tests.fakes.console import SALES, opened, serving
from tests.fakes.handmade_lake import HandmadeLake, record

Turnout = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


@pytest.fixture
def turnout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Turnout:
    root = argparse.ArgumentParser(prog="turnout")
    report.add_parser(root.add_subparsers(required=True))

    def run(*words: str) -> tuple[int, str, str]:
        try:
            arguments = root.parse_args(["report", *named(words), "--state-dir", str(tmp_path)])
            code = arguments.run(arguments)
        except Abort as abort:
            return (abort.exit_code, capsys.readouterr().out, f"{abort}")
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return (code, said.out, said.err)

    return run


@pytest.fixture
def running(tmp_path: Path, lake: HandmadeLake, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TURNOUT_URL", raising=False)
    monkeypatch.delenv("TURNOUT_KEY", raising=False)
    with opened(tmp_path) as control, serving(control, lake.root) as console:
        (tmp_path / "addresses.json").write_text(json.dumps({"console": console.url}))
        (tmp_path / "first-keys").write_text(f"admin {console.keys.admin}\n")
        yield


def named(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a command, which is `compare` unless they begin with another."""
    return words if words[:1] == ("satisfaction",) else ("compare", *words)


def fill(lake: HandmadeLake) -> None:
    """Put 40 users on base, each with a failure in ten, and 10 on the candidate; some rate; one is pinned."""
    shared = {
        "rollout": SALES,
        "generation": 1,
        "reason": "split",
        "bucket": 1,
        "application": "default",
        "percent": 20.0,
    }
    requests = [
        record(
            number,
            **shared,
            arm_assigned=arm,
            arm_served=arm,
            model_served={"base": "gpt", "candidate": "tuned"}[arm],
            user_hash=user.to_bytes(16),
            outcome="timeout" if number // 50 % 10 == user % 10 else "ok",
            latency_ms=1000.0 + number,
            stream=True,
            ttft_ms=40.5,
            output_tokens=280 + number % 3,
            cost_usd=None if number % 50 == 0 else 0.0002 + user / 1e7,
        )
        for number in range(1, 501)
        for user in [number % 50]
        for arm in ["candidate" if user < 10 else "base"]
    ]
    lake.put(requests)
    lake.put([record(999, **{**shared, "reason": "targeting_match"}, arm_assigned="candidate")])
    lake.put_feedback(
        [
            {
                "feedback_id": UUID(int=number),
                "application": "default",
                "request_id": UUID(one.request_id),
                "received_at": one.started_at + 1,
                "thumb": "down" if number % 5 == 0 else "up",
            }
            for number, one in enumerate(requests[:300])
            if number % 3 == 0
        ]
    )


@pytest.mark.usefixtures("running")
def test_the_table_has_a_line_for_each_figure_and_says_what_it_covers(turnout: Turnout, lake: HandmadeLake):
    fill(lake)
    code, out, _ = turnout(SALES)

    assert code == 0
    lines = {line[:45].strip(): line[45:].split() for line in out.splitlines()}
    assert out.startswith("Rollout sales-companion, generation 1: 500 requests, 2026-09-21 14:13:21Z to ")
    assert lines["users"] == ["40", "10"]
    assert lines["requests"] == ["400", "100"]
    assert lines["failed"][:5] == ["40", "(10.00", "%)", "10", "(10.00"]
    assert lines["half answered within (p50)"][:4] == ["1,254", "ms", "1,230", "ms"]
    assert lines["first words within, half of streams (TTFT)"] == ["40.5", "ms", "40.5", "ms", "+0.0", "ms", "x1.000"]
    base_usd = lines["cost per request"][0]
    assert base_usd in {"$0.0002029", "$0.0002030"}, "$0.00020295 is between"
    assert lines["cost per request"][1::2] == ["$0.0002005", "x0.988"]
    assert lines["timeout"] == ["40", "(10.00", "%)", "10", "(10.00", "%)"]
    assert lines["requests of unknown cost"] == ["0", "10"]
    assert lines["satisfied users, of those who rated"][:8] == ["80.0", "%", "of", "80", "80.0", "%", "of", "20"]
    assert "\nbase: gpt\ncandidate: tuned\nleft out: requests 1 of users pinned to an arm\n" in out


@pytest.mark.usefixtures("running")
def test_several_endpoints_are_counted_under_the_header_and_one_can_be_asked_for(turnout: Turnout, lake: HandmadeLake):
    split = {"rollout": SALES, "generation": 1, "reason": "split", "bucket": 1, "arm_assigned": "base"}
    for number in range(1, 13):
        name = "chat.completions" if number <= 7 else "embeddings"
        lake.put([record(number, **split, user_hash=number.to_bytes(16), endpoint=name)])
    mixed, alone = turnout()[1], turnout("--endpoint", "embeddings")[1]

    assert mixed.splitlines()[1:3] == [
        "chat.completions 7, embeddings 5; --endpoint chat.completions for one alone",
        "",
    ]
    assert ": 5 requests, " in alone
    assert "--endpoint" not in alone


@pytest.mark.usefixtures("running")
def test_a_step_that_never_was_ends_with_one_sentence(turnout: Turnout):
    assert turnout("--step", "99") == (1, "", "no such step: 99; none exists yet")


@pytest.mark.usefixtures("running")
def test_dollars_beside_each_other_have_as_many_decimals(turnout: Turnout, lake: HandmadeLake):
    split = {"rollout": SALES, "generation": 1, "reason": "split", "bucket": 1}
    for number, (arm, cost) in enumerate((("base", 0.566), ("candidate", 0.8716)), 1):
        lake.put([record(number, **split, user_hash=number.to_bytes(16), arm_assigned=arm, cost_usd=cost)])
    [total] = [line.split() for line in turnout()[1].splitlines() if line.startswith("total cost")]

    assert total[2:] == ["$0.5660", "$0.8716"]


@pytest.mark.usefixtures("running")
def test_an_empty_lake_has_a_table_of_dashes(turnout: Turnout):
    code, out, _ = turnout()

    assert code == 0
    assert "no request of a split user yet" in out
    assert "%" not in out


@pytest.mark.usefixtures("running")
def test_json_has_every_figure(turnout: Turnout, lake: HandmadeLake):
    fill(lake)
    found = json.loads(turnout("--json", "--since", "2026-09-21", "--until", "2026-09-22")[1])

    assert (found["base"]["requests"], found["candidate"]["requests"], found["left_out"]["forced"]) == (400, 100, 1)
    assert found["difference"]["cost_usd"]["relative"] < 0
    assert json.loads(turnout("--json", "--since", "24h")[1])["base"]["requests"] == 0
    assert json.loads(turnout("--json", "--generation", "1")[1])["generation"] == 1


@pytest.mark.usefixtures("running")
def test_a_divided_report_is_a_list_in_json_and_small_tables_for_people(turnout: Turnout, lake: HandmadeLake):
    fill(lake)
    listed = json.loads(turnout("--by", "model", "--json")[1])
    said = turnout("--by", "day", "--as-treated", "--forced")[1]

    assert [(one["part"], one["base"]["requests"], one["candidate"]["requests"]) for one in listed] == [
        ("gpt", 400, 0),
        ("tuned", 0, 100),
    ]
    assert said.startswith("day 2026-09-21: 501 requests, ")
    assert "no evidence of what a model causes" in said


@pytest.mark.usefixtures("running")
def test_satisfaction_is_told_of_both_arms(turnout: Turnout, lake: HandmadeLake):
    fill(lake)
    code, out, _ = turnout("satisfaction", SALES)
    lines = {line[:35].strip(): line[35:].split() for line in out.splitlines()}
    by_day = json.loads(turnout("satisfaction", "--by", "day", "--json")[1])

    assert code == 0
    assert lines["thumbs up, of all thumbs"][:8] == ["80.0", "%", "of", "80", "80.0", "%", "of", "20"]
    assert [one["base"]["thumbs_up"]["value"] for one in by_day] == [0.8]
    assert turnout("satisfaction", "--by", "day")[1].startswith("day 2026-09-21: 500 requests")
    assert json.loads(turnout("satisfaction", "--json")[1])["part"] is None


@pytest.mark.usefixtures("running")
def test_what_no_request_has_ends_with_what_there_is(turnout: Turnout, lake: HandmadeLake):
    fill(lake)

    assert turnout("--application", "shop") == (1, "", "no request of the application 'shop'; there are: default")
    assert turnout("--tag", "team=red")[2] == "no request carries the tag 'team'; none carries any"


def test_a_stopped_installations_files_give_the_same_table(tmp_path: Path, turnout: Turnout, lake: HandmadeLake):
    fill(lake)
    with opened(tmp_path):
        pass
    elsewhere = tmp_path / "elsewhere"
    here, there = turnout("--direct", "--generation", "1"), turnout("--direct", "--lake", str(elsewhere))

    assert (here[0], there[0]) == (0, 0)
    parts = turnout("--direct", "--generation", "1", "--by", "application", "--json")
    said = turnout("satisfaction", "--direct", "--generation", "1", "--purpose", "live", "--json")
    days = turnout("satisfaction", "--direct", "--generation", "1", "--by", "day", "--tag", "team=red")
    assert [one["part"] for one in json.loads(parts[1])] == ["default"]
    assert json.loads(said[1])["base"]["answers"] == 360
    assert days[2] == "no request carries the tag 'team'; none carries any"
    assert "500 requests" in here[1]
    assert "no request" in there[1]


@pytest.mark.parametrize(
    "words",
    [
        ("--since", "yesterday"),
        ("--since", "7w"),
        ("--until", ""),
        ("--since", "999999d"),
        ("--generation", "0"),
        ("--generation", "-1"),
        ("--generation", "99999999999"),
        ("--generation", "²"),
        ("--tag", "team"),
        ("--by", "week"),
        ("--purpose", "dead"),
    ],
)
def test_what_is_no_time_and_no_generation_is_a_mistake_of_usage(turnout: Turnout, words: tuple[str, str]):
    code, _, err = turnout(*words)

    assert code == 2
    assert words[1] in err
