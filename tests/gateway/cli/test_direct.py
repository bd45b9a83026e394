from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli import Abort
from gateway.cli.direct import open_directly
from gateway.console.queries import COPIES
from gateway.errors import ApiError
from rollout.stores.ledger import LEDGER_FILE
from rollout.stores.sqlite import open_ledger
from tests.fakes.console import SALES, counting_clock, definitions, opened, secrets_of


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    with opened(tmp_path):
        return tmp_path


def test_a_change_on_files_is_found_by_the_next_console(state_dir: Path):
    with open_directly(state_dir, {}) as console:
        console.set_percent(SALES, "25", 1, "while stopped")
        assert console.running_query("nothing") is None

    with opened(state_dir) as control:
        view = control.show(SALES)
        assert (view.percent, view.changed_by.endswith("(direct)"), view.also_for) == (25.0, True, ("gpt",))
        assert control.history(SALES).entries[0].reason == "while stopped"


def test_a_running_console_is_left_alone(state_dir: Path):
    refusal = pytest.raises(Abort, match=r"a console runs on .* \(process \d+\); leave --direct out")
    with opened(state_dir), refusal, open_directly(state_dir, {}):
        pass


def test_reports_may_be_asked_for_while_a_console_runs_and_leave_its_copies_alone(state_dir: Path):
    copy = state_dir / COPIES / "all.duckdb"
    copy.parent.mkdir()
    copy.write_bytes(b"the console's")
    with opened(state_dir), open_directly(state_dir, {}, only_reports=True) as console:
        found = console.compare({})
        with pytest.raises(ApiError, match="is the writer of ledger"):
            console.set_percent(SALES, "25", 1, "")

    assert found.base.requests == 0
    assert copy.read_bytes() == b"the console's"
    assert sorted(path.name for path in state_dir.glob(f"{COPIES}*")) == [COPIES]


def test_a_refusal_is_one_sentence(state_dir: Path):
    with pytest.raises(Abort, match="you saw version 9"), open_directly(state_dir, {}) as console:
        console.set_percent(SALES, "25", 9, "")


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_ledger_no_work_and_nothing_is_made(tmp_path: Path, name: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Abort, match="there is no ledger at"), open_directly(tmp_path / name, {}):
        pass

    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "empty" / LEDGER_FILE).exists()
    assert not (tmp_path / "empty" / "secret").exists()


def test_a_ledger_that_was_never_started_is_said(tmp_path: Path):
    secrets_of(tmp_path)
    open_ledger(tmp_path, clock=counting_clock()).close()

    with pytest.raises(Abort, match="has no snapshot yet; start `turnout serve` once"), open_directly(tmp_path, {}):
        pass


def test_another_secret_is_said(state_dir: Path):
    (state_dir / "secret").unlink()

    refusal = pytest.raises(Abort, match="signature does not fit this installation's secret")
    with refusal, open_directly(state_dir, {"TURNOUT_SECRET": "x" * 40}):
        pass


def test_a_damaged_ledger_is_said(state_dir: Path):
    (state_dir / LEDGER_FILE).write_bytes(b"junk")

    with pytest.raises(Abort, match="is not a Turnout ledger"), open_directly(state_dir, {}):
        pass


def test_keys_are_made_for_the_applications_of_the_last_snapshot(tmp_path: Path):
    with opened(tmp_path, definitions()):
        pass

    with open_directly(tmp_path, {}) as console:
        assert console.create_key("app", "default", "").kept.application == "default"
    with pytest.raises(Abort, match="no application 'crm'"), open_directly(tmp_path, {}) as console:
        console.create_key("app", "crm", "")
