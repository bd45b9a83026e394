from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from gateway.console.installation import (
    FORCE_BASE,
    RUN,
    Installation,
    master_keys,
    newest_snapshot,
    now_us,
    open_installation,
)
from gateway.settings.last_good import LastGood
from gateway.settings.secrets import SecretError
from gateway.settings.snapshot import unseal
from rollout.stores.ledger import LEDGER_FILE, LedgerMissingError, NotALedgerError
from tests.fakes.console import SALES, definitions


def opened(state_dir: Path, environment: Mapping[str, str] | None = None, *, create: bool = True) -> Installation:
    return open_installation(state_dir, definitions(), environment or {}, create=create)


def served(state_dir: Path, percent: float = 25) -> bytes:
    """Start an installation, move its rollout, and keep the snapshot as a worker does; return it."""
    with closing(opened(state_dir)) as one:
        one.control.start(one.last_good)
        one.control.keys.first_keys()
        one.control.set_percent(SALES, percent, one.control.show(SALES).version, actor="test")
        sealed = one.ledger.sealed()
    assert sealed is not None
    (state_dir / RUN).mkdir(exist_ok=True)
    key = master_keys(state_dir, {}, create=False).snapshot
    LastGood(state_dir / RUN, "worker-0", partial(unseal, signing_key=key)).keep(sealed)
    return sealed


def lose_ledger(state_dir: Path) -> None:
    for path in state_dir.glob(f"{LEDGER_FILE}*"):
        path.unlink()


def test_a_new_directory_gets_a_secret_and_a_ledger(tmp_path: Path):
    with closing(opened(tmp_path / "state")) as one:
        one.control.start(one.last_good)

        assert one.last_good is None
        assert one.ledger.state().epoch == 1
    assert (tmp_path / "state/secret").exists()
    assert (tmp_path / "state" / LEDGER_FILE).exists()


def test_what_was_decided_is_there_at_the_next_opening(tmp_path: Path):
    served(tmp_path)

    with closing(opened(tmp_path)) as one:
        before = one.ledger.state()
        after = one.control.start(one.last_good)

        assert one.control.show(SALES).percent == 25
        assert (after.epoch, after.version) == (before.epoch, before.version)


def test_a_lost_ledger_is_rebuilt_from_the_last_good_snapshot_an_epoch_later(tmp_path: Path):
    served(tmp_path)
    lose_ledger(tmp_path)

    with closing(opened(tmp_path)) as one:
        one.control.start(one.last_good)
        state = one.ledger.state()

        assert state.epoch == 2
        assert one.control.show(SALES).percent == 25
        assert len(state.keys) == 2
        assert one.control.keys.first_keys() is None
        assert [entry.action for entry in one.ledger.entries()][-1] == "restore_ledger"


def test_a_ledger_from_an_old_copy_rises_above_what_workers_have_seen(tmp_path: Path):
    with closing(opened(tmp_path)) as one:
        one.control.start(one.last_good)
    copy = (tmp_path / LEDGER_FILE).read_bytes()
    served(tmp_path)
    lose_ledger(tmp_path)
    (tmp_path / LEDGER_FILE).write_bytes(copy)

    with closing(opened(tmp_path)) as one:
        assert one.last_good is not None
        state = one.control.start(one.last_good)

        assert (state.epoch, state.version) > one.last_good.order
        assert state.epoch == 2


def test_a_secret_lost_beside_a_ledger_is_not_replaced(tmp_path: Path):
    served(tmp_path)
    (tmp_path / "secret").unlink()

    with pytest.raises(SecretError, match="secret is missing, with which this state directory was made; restore it"):
        opened(tmp_path)
    assert not (tmp_path / "secret").exists()


def test_a_secret_lost_together_with_the_ledger_is_not_replaced_while_there_are_snapshots(tmp_path: Path):
    served(tmp_path)
    (tmp_path / "secret").unlink()
    lose_ledger(tmp_path)

    with pytest.raises(SecretError, match="restore it, or set TURNOUT_SECRET"):
        opened(tmp_path)


def test_the_lost_secret_may_come_back_through_the_environment(tmp_path: Path):
    served(tmp_path)
    secret = (tmp_path / "secret").read_text()
    (tmp_path / "secret").unlink()

    with closing(opened(tmp_path, {"TURNOUT_SECRET": secret})) as one:
        assert one.last_good is not None
        assert one.control.show(SALES).percent == 25


def test_snapshots_of_another_secret_do_not_rebuild_a_ledger(tmp_path: Path):
    served(tmp_path)
    lose_ledger(tmp_path)
    (tmp_path / "secret").unlink()

    with closing(opened(tmp_path, {"TURNOUT_SECRET": "another" * 8})) as one:
        assert one.last_good is None
        assert one.ledger.state().epoch == 1


def test_nothing_is_made_when_nothing_is_to_be_made(tmp_path: Path):
    with pytest.raises(SecretError, match="secret is missing"):
        opened(tmp_path, create=False)
    with pytest.raises(LedgerMissingError, match="there is no ledger"):
        opened(tmp_path, {"TURNOUT_SECRET": "x" * 32}, create=False)
    assert not (tmp_path / LEDGER_FILE).exists()


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path):
    served(tmp_path)
    (tmp_path / LEDGER_FILE).write_bytes(b"not a ledger" * 1000)

    with pytest.raises(NotALedgerError, match="move it away and start again"):
        opened(tmp_path)
    assert (tmp_path / LEDGER_FILE).read_bytes() == b"not a ledger" * 1000


def test_the_second_to_open_reads_only_until_the_first_closes(tmp_path: Path):
    with closing(opened(tmp_path)) as first:
        first.control.start(first.last_good)
        with closing(opened(tmp_path)) as second:
            assert (first.ledger.read_only, second.ledger.read_only) == (False, True)
    with closing(opened(tmp_path)) as third:
        assert not third.ledger.read_only


def test_the_console_sees_the_force_base_file(tmp_path: Path):
    with closing(opened(tmp_path)) as one:
        one.control.start(one.last_good)
        (tmp_path / FORCE_BASE).touch()

        assert "force-base file" in one.control.status().warnings[0]


def test_the_newest_snapshot_needs_this_installations_secret(tmp_path: Path):
    served(tmp_path)

    assert newest_snapshot(tmp_path, master_keys(tmp_path, {}, create=False)) is not None
    (tmp_path / "secret").unlink()
    assert newest_snapshot(tmp_path, master_keys(tmp_path, {"TURNOUT_SECRET": "y" * 32}, create=False)) is None


def test_the_clock_counts_microseconds():
    assert 1_700_000_000_000_000 < now_us() < 10_000_000_000_000_000


def test_a_ledger_made_with_another_secret_is_refused_and_let_go(tmp_path: Path):
    served(tmp_path)
    ours = (tmp_path / "secret").read_text()
    (tmp_path / "secret").write_text("f" * 64)

    for _ in range(2):
        with pytest.raises(SecretError, match="made with another master secret"):
            opened(tmp_path)

    (tmp_path / "secret").write_text(ours)
    with closing(opened(tmp_path)) as one:
        assert not one.ledger.read_only
