from __future__ import annotations

from gateway.settings.accepted import accepted
from gateway.settings.schema import Application, SecretRef


def test_what_is_there_is_resolved_and_what_is_not_is_told_by_application():
    both = Application(accept=(SecretRef(env="ONE"), SecretRef(env="OTHER")))
    given = accepted({"home": both, "shop": Application(accept=(SecretRef(env="GONE"),))}, {"ONE": "1", "OTHER": "2"})

    assert given.tokens == (("home", "1"), ("home", "2"))
    assert given.lacking == {"shop": "environment variable GONE is not set; export GONE=... before the start"}
