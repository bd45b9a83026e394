"""How Redis is spoken to, whatever for: whom to connect to, how long to wait, and what a failure is called.

No call waits longer than 200 ms for an answer, and none is repeated by the library.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_address import RedisAccess

_REMEDIES = {
    "WRONGTYPE": "something that is not Turnout's lies under its key; delete the key, and the console writes it again",
    "NOPERM": "give its user the rights that docs/operations.md lists under 'Several hosts'",
    "WRONGPASS": "see username and password under [redis]",
    "NOAUTH": "write username and password under [redis]",
    "Hostname mismatch": "name the server under [redis] as its certificate does",
    "IP address mismatch": "name the server under [redis] as its certificate does",
    "CERTIFICATE_VERIFY_FAILED": "write under [redis] as ca_file the certificates from which the server's descends",
    "WRONG_VERSION_NUMBER": "nobody speaks TLS at that port; write redis:// there, or the port that does",
}
"""By a word of what the library or the server says, what to do about it."""
Client = Any
"""A `Redis`, whose own types are known in part only."""


def connect(access: RedisAccess) -> Client:
    """Return a client; nothing is connected yet. Behind sentinels every new connection asks for the present master."""
    address, shared = access.address, _options(access)
    account: dict[str, Any] = {"username": access.username, "password": access.password, "db": address.db}
    if address.path is not None:
        return Redis(unix_socket_path=address.path, **account, **shared)
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": access.ca_file} if address.tls else {}
    if address.sentinel_name is None:
        host, port = address.hosts[0]
        return Redis(host=host, port=port, **account, **tls, **shared)
    watchers = {"username": access.sentinel_username, "password": access.sentinel_password, **tls, **shared}
    sentinel: Any = Sentinel(list(address.hosts), sentinel_kwargs=watchers, **tls, **shared)
    return sentinel.master_for(address.sentinel_name, **account)


def _options(access: RedisAccess) -> dict[str, Any]:
    """Speak RESP2: what a server may push unasked (maintenance notices, invalidations) is nothing to wait for."""
    return {
        "socket_timeout": access.timeout_s,
        "socket_connect_timeout": access.timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


def close(client: Client) -> None:
    """Throw a client's connections away, whatever state they are in."""
    with suppress(RedisError, OSError):
        client.close()
        client.connection_pool.disconnect()


@contextmanager
def reported(access: RedisAccess) -> Generator[None]:
    """Say every failure of the store in one sentence with its place."""
    try:
        yield
    except (RedisError, OSError, ValueError, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        message = f"Redis at {access.address} cannot be used: {reason}{_remedy(reason)}"
        raise StoreUnavailableError(message) from error


def _remedy(reason: str) -> str:
    return next((f"; {remedy}" for word, remedy in _REMEDIES.items() if word in reason), "")
