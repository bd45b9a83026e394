from __future__ import annotations

import pytest

from rollout.stores.redis_address import RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress(hosts=[("cache", 6379)])),
        ("redis://cache:7000/3", RedisAddress(hosts=[("cache", 7000)], db=3)),
        ("rediss://10.0.0.1/", RedisAddress(hosts=[("10.0.0.1", 6379)], tls=True)),
        ("redis://[::1]:6380", RedisAddress(hosts=[("::1", 6380)])),
        ("unix:///run/a%20b.sock", RedisAddress(path="/run/a b.sock")),
        (
            "redis+sentinel://one,two:26380/main/2",
            RedisAddress(hosts=[("one", 26379), ("two", 26380)], sentinel_name="main", db=2),
        ),
        ("rediss+sentinel://one/main", RedisAddress(hosts=[("one", 26379)], sentinel_name="main", tls=True)),
    ],
)
def test_each_form_names_its_place(url: str, address: RedisAddress):
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no scheme"),
        ("http://cache", "no scheme"),
        ("redis://", "no host and port"),
        ("redis://cache:0", "no host and port"),
        ("redis://cache:99999", "no host and port"),
        ("redis://cache:x", "no host and port"),
        ("redis://a,b", "several hosts"),
        ("redis://cache/x", "no database number"),
        ("redis://cache/1/2", "no database number"),
        ("redis://cache?db=1", "options"),
        ("redis://:hunter2@cache", "a user or a password"),
        ("unix://", "no socket"),
        ("redis+sentinel://one", "no master"),
        ("redis://ca che", "no URL"),
        ("redis://caché", "no URL"),
    ],
)
def test_what_is_no_place_is_refused_without_being_repeated(url: str, says: str):
    with pytest.raises(ValueError, match=says) as refusal:
        parse_redis_url(url)

    assert "hunter2" not in str(refusal.value)


def test_an_address_is_named_in_messages():
    assert str(parse_redis_url("redis://cache")) == "cache:6379"
    assert str(parse_redis_url("unix:///run/redis.sock")) == "/run/redis.sock"
    assert str(parse_redis_url("redis+sentinel://a,b/main")) == "main by the sentinels a:26379, b:26379"
