"""What a gateway decides by where nobody can say what is in force: the definitions of its own file, everybody at base.

The law: it is older than every other snapshot, so any of them replaces it; it knows no issued keys; and it is for those
files alone that let callers in by keys of their own. Pure.
"""

from __future__ import annotations

from gateway.settings.compile import compile_snapshot
from gateway.settings.schema import Configuration, RolloutDefinition
from gateway.settings.snapshot import Snapshot
from rollout.change import Held, State
from rollout.flag import Flag


class NoBaseError(Exception):
    """The file is no base to serve by; the message says what it lacks."""


def built_in(definitions: Configuration, now_us: int) -> Snapshot:
    """Return the snapshot `0.0`: every rollout at percent 0, in a generation 0 that no ledger has.

    Raises:
        NoBaseError: there is nothing to serve, or nobody to let in.
    """
    if not definitions.models and all(one.models != "*" for one in definitions.upstreams.values()):
        message = "the file has no [models], which a gateway needs that is to serve without a console"
        raise NoBaseError(message)
    if not any(application.accept for application in definitions.applications.values()):
        message = (
            "no application of the file has `accept`, and the keys that were issued are not known without a console"
        )
        raise NoBaseError(message)
    held = {name: Held(flag=_at_base(name, definition)) for name, definition in definitions.rollouts.items()}
    return compile_snapshot(definitions, State(epoch=0, rollouts=held), now_us)


def _at_base(name: str, definition: RolloutDefinition) -> Flag:
    return Flag(
        rollout=name,
        flag=definition.flag,
        base=definition.base,
        candidate=definition.candidate,
        salt="",
        version=0,
        generation=0,
    )
