from __future__ import annotations

from rollout.notice import WHATS
from rollout.notify.webhook import Webhook, WebhookError


def test_a_webhook_is_told_of_everything_unless_it_names_what_it_wants():
    one = Webhook(name="ops", shape="json", address=lambda: "https://x.example", secret=lambda: None)

    assert one.events == WHATS


def test_an_error_asks_for_no_wait_unless_it_says_so():
    assert WebhookError("it answered 500").wait_s is None
    assert WebhookError("it answered 429", 7.0).wait_s == 7.0
