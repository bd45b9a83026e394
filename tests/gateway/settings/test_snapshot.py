from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.settings.schema import Application, Model, Upstream
from gateway.settings.snapshot import BadSnapshotError, Snapshot, SplitEntry, seal, unseal
from rollout.flag import Flag
from rollout.keys import Key

SNAPSHOT = Snapshot(
    epoch=2,
    version=7,
    compiled_at=1_800_000_000_000_000,
    price_version="abc",
    max_body_bytes=1_000_000,
    upstreams={"openai": Upstream(base_url="http://127.0.0.1:9")},
    models={"gpt": Model(upstream="openai")},
    rollouts={"sales": SplitEntry(flag=Flag(rollout="sales", flag="f", base="gpt", candidate="t", salt="s"))},
    applications={"default": Application()},
    keys=(Key(id="k", role="app", fingerprint="f" * 64, application="default"),),
)
KEY = b"signing key"


def test_a_sealed_snapshot_opens_as_it_was():
    opened = unseal(seal(SNAPSHOT, KEY), KEY)

    assert replace(opened, keys=tuple(opened.keys)) == SNAPSHOT


@given(st.binary(max_size=200))
def test_bytes_that_nobody_signed_are_refused(sealed: bytes):
    with pytest.raises(BadSnapshotError, match="signature does not fit"):
        unseal(sealed, KEY)


@given(st.integers(0), st.integers(0, 7))
def test_a_single_flipped_bit_is_noticed(place: int, bit: int):
    sealed = bytearray(seal(SNAPSHOT, KEY))
    sealed[place % len(sealed)] ^= 1 << bit

    with pytest.raises(BadSnapshotError):
        unseal(bytes(sealed), KEY)


def test_another_installations_snapshot_is_refused():
    with pytest.raises(BadSnapshotError, match="does not fit this installation's secret"):
        unseal(seal(SNAPSHOT, b"other"), KEY)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no json", b'{"schema": "x"}'])
def test_a_signed_body_that_cannot_be_read_is_refused(body: bytes):
    with pytest.raises(BadSnapshotError, match="cannot be read"):
        unseal(hmac.digest(KEY, body, "sha256") + body, KEY)


def test_another_schema_is_refused():
    with pytest.raises(BadSnapshotError, match="has schema 99; this version reads 1"):
        unseal(seal(replace(SNAPSHOT, schema=99), KEY), KEY)


def test_a_later_epoch_is_newer_than_any_version():
    assert replace(SNAPSHOT, epoch=3, version=0).order > replace(SNAPSHOT, version=10_000).order
