from __future__ import annotations

from gateway.console.whois import whois_view
from rollout.change import Held
from rollout.flag import user_hash
from tests.fakes.plans import FLAG


def test_a_user_is_told_the_arm_and_the_reason():
    hashed = user_hash(b"k" * 32, b"alice")
    split = whois_view(Held(flag=FLAG), b"alice", hashed, killed=False)
    forced = whois_view(
        Held(
            flag=type(FLAG)(
                **{**{n: getattr(FLAG, n) for n in FLAG.__struct_fields__}, "forced": {hashed.hex(): "candidate"}}
            )
        ),
        b"alice",
        hashed,
        killed=False,
    )

    assert (split.arm, split.model, split.user_hash) == ("base", "gpt", hashed.hex())
    assert split.percent_bucket is not None
    assert (forced.arm, forced.model, forced.reason) == ("candidate", "tuned", "targeting_match")
