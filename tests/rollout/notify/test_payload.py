from __future__ import annotations

import base64
import hashlib
import hmac
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from rollout.notice import WHATS, Notice
from rollout.notify.payload import Format, body, key_of, signed, slack_text

ROLLED_BACK = Notice(
    what="rolled_back",
    words="errors: fail. Candidate 3.9 %, base 2.0 %",
    at=1_780_000_000_123_456,
    rollout="sales",
    generation=2,
    step=3,
    phase="canary",
    percent=0.0,
    verdict="fail",
)


def test_generic_json_has_every_fact():
    assert msgspec.json.decode(body(ROLLED_BACK, "json")) == {
        "type": "rolled_back",
        "timestamp": "2026-05-28T20:26:40Z",
        "data": {
            "words": "errors: fail. Candidate 3.9 %, base 2.0 %",
            "rollout": "sales",
            "generation": 2,
            "step": 3,
            "phase": "canary",
            "percent": 0.0,
            "verdict": "fail",
            "identity": ROLLED_BACK.identity,
        },
    }


def test_slack_is_sent_one_text():
    assert msgspec.json.decode(body(ROLLED_BACK, "slack")) == {
        "text": "*sales* ROLLED BACK (canary, step 3, 0 %, verdict fail): errors: fail. Candidate 3.9 %, base 2.0 %"
    }


def test_nothing_in_a_text_mentions_anybody_or_begins_a_line():
    text = slack_text(replace(ROLLED_BACK, rollout="<!channel>", words="a & <https://evil|b>\n\x1b[31m"))

    assert "<" not in text
    assert "\n" not in text
    assert "&lt;!channel&gt;" in text
    assert "a &amp; &lt;https://evil|b&gt;  [31m" in text


def test_a_text_about_everything_names_no_rollout_and_a_long_one_is_cut():
    silent = Notice(what="controller_silent", words="x" * 5000, at=0)

    assert slack_text(silent).startswith("THE CONTROLLER IS SILENT: xxx")
    assert slack_text(silent).endswith("x...")
    assert len(slack_text(silent)) == 2903


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("shape", get_args(Format))
def test_everything_that_may_happen_can_be_told(what: str, shape: Format):
    assert b"fail. Candidate" in body(replace(ROLLED_BACK, what=what), shape)


def test_a_receiver_can_check_sender_time_and_content():
    headers = signed("s3cret", "d1", 1_780_000_000, b'{"a":1}')

    expected = hmac.new(b"s3cret", b'd1.1780000000.{"a":1}', hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "d1",
        "webhook-timestamp": "1780000000",
        "webhook-signature": f"v1,{base64.b64encode(expected).decode()}",
    }


def test_the_published_example_of_standard_webhooks_is_reproduced():
    headers = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_base64_only_where_it_says_so():
    assert key_of("whsec_QUJD") == b"ABC"
    assert key_of("QUJD") == b"QUJD"
    assert key_of("whsec_not base64!") == b"whsec_not base64!"
