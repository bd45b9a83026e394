from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.console.control import OLD_COPY, SEEN_LATER, Control
from gateway.console.errors import ReadOnlyError
from gateway.settings.compile import compile_snapshot, restored_state
from gateway.settings.secrets import derived
from gateway.settings.snapshot import unseal
from rollout.change import State
from rollout.stores.ledger import LEDGER_FILE
from rollout.stores.sqlite import open_ledger
from tests.fakes.console import SALES, counting_clock, counting_randomness, definitions, opened, secrets_of


def test_a_restored_ledger_publishes_above_every_version_that_workers_saw(tmp_path: Path):
    with opened(tmp_path / "old") as control:
        control.set_percent(SALES, "25", 1, actor="ops")
        keys = control.keys.first_keys()
        assert keys is not None
    ledger = open_ledger(tmp_path / "old", clock=counting_clock())
    sealed = ledger.sealed()
    ledger.close()
    assert sealed is not None
    last_good = unseal(sealed, secrets_of(tmp_path / "old").snapshot)

    ledger = open_ledger(tmp_path / "new", clock=counting_clock(), restore_from=restored_state(last_good))
    control = Control(ledger, definitions(), secrets_of(tmp_path / "old"), randomness=counting_randomness())
    control.start(last_good)

    assert control.status().snapshot == "2.1"
    assert control.show(SALES).percent == 25.0
    assert control.keys.authenticate(keys.admin) is not None
    assert control.audit(verify=True).whole
    ledger.close()


def test_an_old_copy_of_the_ledger_raises_the_epoch(tmp_path: Path):
    last_good = compile_snapshot(definitions(), State(epoch=1, version=50), 0)
    with opened(tmp_path) as control:
        control.start(last_good)

        assert control.status().snapshot == "2.1"
        assert control.audit().entries[0].action == "raise_epoch"
        control.start(last_good)
        control.start(replace(last_good, epoch=2, version=1))
        assert control.status().snapshot == "2.1"


def test_an_old_copy_of_the_ledger_gives_no_revoked_key_and_no_percent_back(tmp_path: Path):
    with opened(tmp_path) as control:
        key = control.keys.create_key("ops", None, "", actor="test")
        control.set_percent(SALES, 40, 1, actor="test")
        copy = (tmp_path / LEDGER_FILE).read_bytes()
        control.keys.revoke_key(key.kept.id, actor="test")
        control.set_percent(SALES, 0, 2, actor="test")
        sealed = open_ledger(tmp_path, clock=counting_clock()).sealed()
    assert sealed is not None
    (tmp_path / LEDGER_FILE).write_bytes(copy)
    ledger = open_ledger(tmp_path, clock=counting_clock())
    control = Control(ledger, definitions(), secrets_of(tmp_path), randomness=counting_randomness())
    last_good = unseal(sealed, secrets_of(tmp_path).snapshot)
    was_older = control.is_older_than(last_good)
    control.start(last_good)

    assert was_older
    assert control.keys.authenticate(key.key) is None
    assert control.show(SALES).percent == 0.0
    assert {entry.reason for entry in control.history(SALES).entries if entry.action == "set_percent"} >= {OLD_COPY}
    assert control.audit(verify=True).whole
    ledger.close()


def test_a_snapshot_that_the_secret_no_longer_opens_is_published_anew(tmp_path: Path):
    with opened(tmp_path) as control:
        assert control.status().snapshot == "1.1"
    ledger = open_ledger(tmp_path, clock=counting_clock())
    control = Control(ledger, definitions(), derived(b"another secret" * 3), randomness=counting_randomness())

    assert control.status().compiled_at is None
    control.start()

    assert control.status().snapshot == "1.2"
    assert control.status().compiled_at is not None
    ledger.close()


def test_a_second_console_reads_and_does_not_write(tmp_path: Path):
    with opened(tmp_path) as first, opened(tmp_path) as second:
        first.set_percent(SALES, "10", 1, actor="ops")

        assert second.show(SALES).percent == 10.0
        assert (first.status().read_only, second.status().read_only) == (False, True)


def test_an_epoch_that_workers_have_seen_is_raised_above_once(tmp_path: Path):
    with opened(tmp_path) as control:
        control.start(above=4)
        assert control.status().snapshot == "5.1"
        assert control.audit().entries[0].reason == SEEN_LATER

        control.start(above=4)
        assert control.status().snapshot == "5.1"


def test_what_another_console_said_is_gone_on_from_though_its_version_is_lower(tmp_path: Path):
    with opened(tmp_path) as control:
        control.set_percent(SALES, 10, 1, actor="test")
        sealed = open_ledger(tmp_path, clock=counting_clock()).sealed()
        assert sealed is not None
        control.set_percent(SALES, 40, 2, actor="test")
        other = unseal(sealed, secrets_of(tmp_path).snapshot)

        control.start(other, above=1)

        assert control.status().snapshot == "2.1"
        assert control.show(SALES).percent == 10


def test_a_console_that_another_one_bars_takes_no_change_but_shows_all(tmp_path: Path):
    with opened(tmp_path) as control:
        control.follow(lambda: "the other one writes", lambda: None)
        for change in (
            lambda: control.set_percent(SALES, 40, 1, actor="test"),
            lambda: control.force_user(SALES, "alice", "base", 1, actor="test"),
            lambda: control.keys.create_key("ops", None, "", actor="test"),
        ):
            with pytest.raises(ReadOnlyError, match="the other one writes"):
                change()

        assert control.show(SALES).percent == 0
        assert control.status().read_only
        assert "the other one writes" in control.status().warnings
