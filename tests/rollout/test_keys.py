from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rollout.keys import ROLES, Key, KeyParts, compose, fingerprint, matches, parse

TEXT = compose("ops", "0123456789ab", "a_b-c")
KEPT = Key(id="0123456789ab", role="ops", fingerprint=fingerprint(b"pepper", TEXT))


@pytest.mark.parametrize("role", ROLES)
def test_a_composed_key_parses_into_its_parts(role):
    assert parse(compose(role, "0123456789ab", "a_b-c")) == KeyParts(role, "0123456789ab")


@pytest.mark.parametrize(
    "text", ["", "sk-abc", "tn", "tn_", "tn_ops", "tn_ops_", "tn_ops_id", "tn_ops_id_", "tn_boss_id_s"]
)
def test_what_has_not_a_keys_form_is_no_key(text: str):
    assert parse(text) is None


@given(st.text(), st.characters(codec="utf-8"))
def test_only_the_key_itself_matches(text: str, extra: str):
    assert matches(b"pepper", TEXT, KEPT)
    assert not matches(b"pepper", TEXT + extra, KEPT)
    assert matches(b"pepper", text.encode("utf-8", "replace").decode(), KEPT) == (text == TEXT)


def test_a_revoked_an_absent_and_a_foreign_key_do_not_match():
    assert not matches(b"pepper", TEXT, replace(KEPT, revoked_at=1))
    assert not matches(b"pepper", TEXT, None)
    assert not matches(b"other", TEXT, KEPT)


def test_a_key_of_undecodable_bytes_does_not_match():
    assert not matches(b"pepper", b"tn_ops_\xff".decode("utf-8", "surrogateescape"), KEPT)
