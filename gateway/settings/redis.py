"""Judge `[redis]`: one place, reached in one way, and no secret in the file. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.settings.problem import Problem, error_at, warning_at
from gateway.settings.schema import Redis
from rollout.stores.redis_address import RedisAddress, parse_redis_url


def redis_problems(redis: Redis) -> Iterator[Problem]:
    """Return what is wrong with the table, secrets aside."""
    given = [key for key in redis.__struct_fields__ if key != "url" and getattr(redis, key) != getattr(Redis(), key)]
    if redis.url is None:
        for key in given:
            yield error_at(("redis", key), 'is of no use without a url; add url = "redis://HOST:6379"')
        return
    try:
        address = parse_redis_url(redis.url)
    except ValueError as error:
        yield error_at(("redis", "url"), f"{error}")
        return
    yield from _contradictions(redis, address)


def _contradictions(redis: Redis, address: RedisAddress) -> Iterator[Problem]:
    if redis.ca_file is not None and not address.tls:
        message = "is for encrypted connections; write rediss:// in url, or take it off"
        yield error_at(("redis", "ca_file"), message)
    if redis.ca_file is not None and not redis.ca_file.startswith("/"):
        yield error_at(("redis", "ca_file"), "is no absolute path; write one such as /etc/ssl/redis-ca.pem")
    if address.sentinel_name is None:
        for key in ("sentinel_username", "sentinel_password"):
            if getattr(redis, key) is not None:
                yield error_at(("redis", key), "is for sentinels; write redis+sentinel:// in url, or take it off")
    if redis.password is not None and not address.tls and address.path is None:
        yield warning_at(("redis", "password"), "is sent unencrypted; use rediss://, or a network of your own")
