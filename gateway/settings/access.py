"""From `[redis]` to what a process connects with: its secrets resolved, by the process itself."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.settings.schema import Redis, SecretRef
from gateway.settings.secrets import resolve
from rollout.stores.redis_address import RedisAccess, parse_redis_url


def redis_access(redis: Redis, environment: Mapping[str, str]) -> RedisAccess:
    """Return how this process reaches the Redis of a checked table with a `url`.

    Raises:
        SecretError: a secret that the table refers to cannot be had.
    """

    def secret(reference: SecretRef | None) -> str | None:
        return resolve(reference, environment) if reference is not None else None

    return RedisAccess(
        address=parse_redis_url(redis.url or ""),
        username=redis.username,
        password=secret(redis.password),
        sentinel_username=redis.sentinel_username,
        sentinel_password=secret(redis.sentinel_password),
        ca_file=redis.ca_file,
    )
