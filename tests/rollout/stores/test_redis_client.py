"""A connection to Redis waits shortly, asks once, and says what went wrong without a password."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import RedisError

from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_address import RedisAccess, parse_redis_url
from rollout.stores.redis_client import connect, reported


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache:7000/3", {"host": "cache", "port": 7000, "db": 3}),
        ("unix:///run/redis.sock", {"path": "/run/redis.sock", "db": 0}),
        ("rediss://cache", {"host": "cache", "ssl_ca_certs": "/ca.pem"}),
    ],
)
def test_every_connection_has_short_timeouts_and_no_retries(url: str, expected: dict[str, Any]):
    address = parse_redis_url(url)
    client = connect(RedisAccess(address=address, ca_file="/ca.pem" if address.tls else None))

    asked = client.connection_pool.connection_kwargs
    assert (asked["socket_timeout"], asked["retry"].get_retries()) == (0.2, 0)
    assert {key: asked.get(key) for key in expected} == expected


def test_what_goes_wrong_is_said_with_its_place_alone():
    access = RedisAccess(address=parse_redis_url("redis://cache:7000"), password="hunter2")

    troubles: list[str] = []
    for error in (TimeoutError(), RedisError("no such thing")):
        with pytest.raises(StoreUnavailableError) as caught, reported(access):
            raise error
        troubles.append(str(caught.value))

    assert troubles == [f"Redis at cache:7000 cannot be used: {reason}" for reason in ("TimeoutError", "no such thing")]
    assert "hunter2" not in repr(access)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "delete the key"),
        ("NOPERM this user has no permissions to run the 'set' command", "docs/operations.md"),
        ("Error 1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "ca_file"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch", "as its certificate does"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "username and password"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "write redis://"),
    ],
)
def test_what_the_server_or_tls_says_comes_with_the_remedy(reason: str, remedy: str):
    access = RedisAccess(address=parse_redis_url("redis://cache:7000"))

    with pytest.raises(StoreUnavailableError) as caught, reported(access):
        raise RedisError(reason)
    assert str(caught.value).startswith(f"Redis at cache:7000 cannot be used: {reason}; ")
    assert remedy in str(caught.value)
