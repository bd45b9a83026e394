from __future__ import annotations

from gateway.console.whois import whois_view
from rollout.change import Held
from rollout.flag import user_hash
from tests.fakes.proxy import CANDIDATE, FLAG


def test_who_serves_a_user_is_told_with_the_bucket_that_decides():
    hashed = user_hash(b"key", b"ann")

    view = whois_view(Held(flag=FLAG), b"ann", hashed, killed=False)
    pinned = whois_view(Held(flag=FLAG), b"ann", hashed, killed=True)

    assert view.bucket is not None
    assert view.percent_bucket == view.bucket // 100
    assert (view.model == CANDIDATE) == (view.arm == "candidate")
    assert (pinned.arm, pinned.reason, pinned.bucket, pinned.percent_bucket) == ("base", "disabled", None, None)
    assert view.user_hash == hashed.hex()
