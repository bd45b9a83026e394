"""`python -m gateway.console.alarm`: tell webhooks of the controller's silence, from outside of the console.

It is started by the supervisor, uses the console's outbox, so that nobody is told twice, and ends when all are told or
after two minutes; what is left, the console tells when it is back.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from gateway.console.notifying import REMEMBERED, destinations
from gateway.settings.environment import process_environment
from gateway.settings.load import load_checked
from gateway.settings.logs import configure
from gateway.settings.problem import SettingsError
from gateway.settings.schema import Webhook
from rollout.notify.heartbeat import SILENT_S, silence
from rollout.notify.notifier import Notifier
from rollout.stores.outbox import Outbox, OutboxError, delivery_id, open_outbox

PATIENCE_S = 120.0
_LOOK_S = 0.1

_log = logging.getLogger("turnout.console")


def main() -> int:
    """Tell; 0 when everybody who is to be told was, else 1."""
    parser = argparse.ArgumentParser(prog="python -m gateway.console.alarm")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--since", required=True, help="the controller's last sign of life")
    parser.add_argument("--patience-s", type=float, default=PATIENCE_S)
    arguments = parser.parse_args()
    configure("alarm")
    try:
        with closing(open_outbox(arguments.state_dir)) as outbox:
            webhooks = _webhooks(arguments.config, outbox)
            return int(not told(outbox, webhooks, arguments.since, arguments.patience_s, process_environment()))
    except OutboxError as error:
        _log.critical("webhooks are not told that the controller is silent", extra={"reason": str(error)})
        return 1


def told(
    outbox: Outbox,
    webhooks: Mapping[str, Webhook],
    since: str,
    patience_s: float,
    environment: Mapping[str, str],
) -> bool:
    """Tell of a silence, and return whether everybody took it in time."""
    notice = silence(since, SILENT_S, time.time_ns() // 1000)
    notifier = Notifier(outbox, destinations(webhooks, environment))
    mine = {delivery_id(notice, name) for name in webhooks}
    deadline = time.monotonic() + patience_s
    with notifier.running():
        notifier.announce(notice)
        while left := {one.id for name in webhooks for one in outbox.waiting(name)} & mine:
            if time.monotonic() > deadline:
                break
            time.sleep(_LOOK_S)
    return not left


def _webhooks(config: Path, outbox: Outbox) -> Mapping[str, Webhook]:
    try:
        return load_checked(config, None)[0].webhooks
    except SettingsError:
        return msgspec.json.decode(outbox.remembered(REMEMBERED) or "{}", type=dict[str, Webhook])


if __name__ == "__main__":
    sys.exit(main())
