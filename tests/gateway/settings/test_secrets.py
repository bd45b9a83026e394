"""Secrets: where they are found, and that nothing ever prints them."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from pathlib import Path

import pytest

from gateway.settings.schema import SecretRef
from gateway.settings.secrets import SecretError, derive, derived, load_master, resolve

MASTER = "a-master-secret-of-more-than-32-bytes"


def counted(length: int) -> bytes:
    return bytes(range(length))


def test_each_label_derives_its_own_key_by_hmac_sha256():
    keys = derived(b"master")

    assert derive(b"master", "salt") == hmac.new(b"master", b"salt", hashlib.sha256).digest()
    assert keys.salt == derive(b"master", "salt")
    assert keys.pepper == derive(b"master", "pepper")
    assert keys.user_hash == derive(b"master", "user-hash")
    assert keys.snapshot == derive(b"master", "snapshot")
    assert len({keys.salt, keys.pepper, keys.user_hash, keys.snapshot}) == 4


def test_derived_keys_do_not_print_themselves():
    assert repr(derived(b"master")) == str(derived(b"master")) == "Derived(...)"


def test_a_first_start_makes_the_secret_for_its_owner_alone(tmp_path: Path):
    state = tmp_path / "state"

    master = load_master(state, {}, counted)

    assert master == counted(32).hex().encode()
    assert (state / "secret").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in state.iterdir()) == ["secret"]


def test_a_second_start_reads_what_the_first_has_made(tmp_path: Path):
    first = load_master(tmp_path, {}, os.urandom)

    assert load_master(tmp_path, {}, os.urandom) == first


def test_starts_that_race_agree_on_one_secret(tmp_path: Path):
    masters: list[bytes] = []
    starts = [threading.Thread(target=lambda: masters.append(load_master(tmp_path, {}, os.urandom))) for _ in range(16)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()

    assert len(masters) == 16
    assert len(set(masters)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_the_variable_needs_no_file_and_makes_none(tmp_path: Path):
    assert load_master(tmp_path, {"TURNOUT_SECRET": MASTER + "\n"}, os.urandom) == MASTER.encode()
    assert not list(tmp_path.iterdir())


def test_the_files_content_may_move_into_the_variable(tmp_path: Path):
    made = load_master(tmp_path, {}, os.urandom)
    text = (tmp_path / "secret").read_text()

    assert load_master(tmp_path, {"TURNOUT_SECRET": text}, os.urandom) == made


def test_a_variable_that_differs_from_the_file_is_refused(tmp_path: Path):
    load_master(tmp_path, {}, os.urandom)

    with pytest.raises(SecretError, match=r"TURNOUT_SECRET differs from .*secret.*unset the variable") as caught:
        load_master(tmp_path, {"TURNOUT_SECRET": MASTER}, os.urandom)

    assert MASTER not in str(caught.value)


@pytest.mark.parametrize("short", ["", "only-twenty-bytes-xy"])
def test_a_short_variable_is_refused_with_the_remedy(tmp_path: Path, short: str):
    with pytest.raises(
        SecretError, match=rf"^TURNOUT_SECRET has {len(short)} bytes; .* 32 or more: .*openssl rand -hex 32$"
    ):
        load_master(tmp_path, {"TURNOUT_SECRET": short}, os.urandom)


def test_a_short_file_is_refused(tmp_path: Path):
    (tmp_path / "secret").write_text("short\n")
    (tmp_path / "secret").chmod(0o600)

    with pytest.raises(SecretError, match=r"secret has 5 bytes"):
        load_master(tmp_path, {}, os.urandom)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int):
    load_master(tmp_path, {}, os.urandom)
    (tmp_path / "secret").chmod(mode)

    with pytest.raises(SecretError, match=rf"mode {mode:04o}\); run: chmod 600 .*/secret$"):
        load_master(tmp_path, {}, os.urandom)


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(SecretError, match=r"file/secret cannot be written: .*; make the state directory writable"):
        load_master(tmp_path / "file", {}, os.urandom)


def test_a_secret_that_was_lost_is_not_replaced(tmp_path: Path):
    with pytest.raises(SecretError, match=r"/secret is missing, .*; restore it, or set TURNOUT_SECRET$"):
        load_master(tmp_path, {}, os.urandom, create=False)

    assert not list(tmp_path.iterdir())


def test_a_dangling_link_is_not_taken_for_a_missing_secret(tmp_path: Path):
    (tmp_path / "secret").symlink_to(tmp_path / "gone")

    with pytest.raises(SecretError, match=r"secret cannot be read: No such file"):
        load_master(tmp_path, {}, os.urandom)


def test_a_reference_is_resolved_from_the_environment():
    assert resolve(SecretRef(env="KEY"), {"KEY": "sk-1\n"}) == "sk-1"


@pytest.mark.parametrize("content", ["sk-1", "sk-1\n", "sk-1\r\n"])
def test_a_reference_is_resolved_from_a_file(tmp_path: Path, content: str):
    path = tmp_path / "key"
    path.write_bytes(content.encode())

    assert resolve(SecretRef(file=str(path)), {}) == "sk-1"


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(SecretError, match=r"^environment variable KEY is not set; export KEY="):
        resolve(SecretRef(env="KEY"), {})


@pytest.mark.parametrize("empty", ["", "\n"])
def test_an_empty_variable_is_named(empty: str):
    with pytest.raises(SecretError, match=r"^environment variable KEY is empty"):
        resolve(SecretRef(env="KEY"), {"KEY": empty})


@pytest.mark.parametrize(
    "value", ["sk 12345", "sk-12345\n\n", "sk-12345\x00", "sk-1234é5", " sk-12345", "sk-\udcff12345"]
)
def test_a_value_that_no_header_can_carry_is_refused_unseen(value: str):
    with pytest.raises(SecretError, match=r"^environment variable KEY holds a space, a line break") as caught:
        resolve(SecretRef(env="KEY"), {"KEY": value})

    assert "12345" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SecretError, match=rf"^secret file {tmp_path}/none cannot be read: No such file"):
        resolve(SecretRef(file=f"{tmp_path}/none"), {})


def test_an_empty_file_is_named(tmp_path: Path):
    (tmp_path / "key").write_text("\n")

    with pytest.raises(SecretError, match=r"key is empty; put the credential there"):
        resolve(SecretRef(file=str(tmp_path / "key")), {})


def test_a_directory_is_no_secret(tmp_path: Path):
    with pytest.raises(SecretError, match=r"cannot be read: Is a directory|is not a regular file"):
        resolve(SecretRef(file=str(tmp_path)), {})


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SecretError, match=r"pipe is not a regular file"):
        resolve(SecretRef(file=str(tmp_path / "pipe")), {})


def test_a_large_file_is_no_secret(tmp_path: Path):
    (tmp_path / "key").write_bytes(b"x" * 70_000)

    with pytest.raises(SecretError, match=r"key is larger than 65536 bytes"):
        resolve(SecretRef(file=str(tmp_path / "key")), {})


def test_a_path_with_a_null_character_is_refused():
    with pytest.raises(SecretError, match=r"cannot be read: not a path"):
        resolve(SecretRef(file="/tmp/\x00"), {})


@pytest.mark.parametrize("ref", [SecretRef(), SecretRef(env="A", file="/b")])
def test_a_reference_is_exactly_one_of_variable_and_file(ref: SecretRef):
    with pytest.raises(SecretError, match=r"exactly one of"):
        resolve(ref, {"A": "x"})
