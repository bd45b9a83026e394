"""One request's choice of deployment with its evidence: for the record, and for the caller's headers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from analytics.record import Arm
from gateway.errors import ShedError
from gateway.proxy.exchange import Called
from gateway.proxy.identity import User
from gateway.proxy.snapshot import Deployment, Route, View
from gateway.settings.schema import Exposed
from rollout.assignment import UNDECIDED, Assignment, assign
from rollout.flag import Flag, user_hash


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves one request; `flag` and `assignment` are None when the model is in no rollout.

    `served` is the arm that serves, where that is not the assigned one.
    """

    deployment: Deployment
    user: User
    digest: bytes | None
    flag: Flag | None = None
    assignment: Assignment | None = None
    served: Arm | None = None

    @property
    def arm(self) -> Arm | None:
        """Return the arm that serves."""
        return self.served or (self.assignment.arm if self.assignment is not None else None)

    @property
    def is_anonymous(self) -> bool:
        """Tell whether a rollout had to serve a request without a user key."""
        return self.flag is not None and self.user.key is None

    def facts(self) -> Mapping[str, Any]:
        """Return what the record says of this choice, by its names."""
        facts: dict[str, Any] = {"user_hash": self.digest, "user_source": self.user.source}
        if self.flag is not None and self.assignment is not None:
            facts |= {
                "rollout": self.flag.rollout,
                "generation": self.flag.generation,
                "phase": self.flag.phase,
                "step": self.flag.step,
                "percent": self.flag.percent,
                "bucket": self.assignment.bucket,
                "arm_assigned": self.assignment.arm,
                "reason": self.assignment.reason,
            }
        return facts

    def called(self, price_version: str) -> Called:
        """Return whom the record says was called."""
        return Called(
            arm=self.arm,
            model=self.deployment.model,
            upstream=self.deployment.upstream,
            price=self.deployment.price,
            price_version=price_version,
        )


def choose(view: View, route: Route, user: User) -> Choice:
    """Decide who serves, from one view alone."""
    digest = user_hash(view.decisions.hash_key, user.key) if user.key is not None else None
    if route.flag is None or route.candidate is None:
        return Choice(deployment=route.base, user=user, digest=digest)
    if view.source == "default" and not view.killed:
        assignment = UNDECIDED
    else:
        assignment = assign(route.flag, user.key, digest, fresh=view.fresh, killed=view.killed)
    deployment = route.candidate if assignment.arm == "candidate" else route.base
    return Choice(deployment=deployment, user=user, digest=digest, flag=route.flag, assignment=assignment)


def check_standing(choice: Choice, view: View) -> None:
    """Refuse to act on a choice that was made before a wait and that a later view has overtaken; base always stands.

    Raises:
        ShedError: the candidate's flag was changed meanwhile, or everybody was sent to base.
    """
    if choice.flag is None or choice.arm in {None, "base"}:
        return
    present = view.decisions.snapshot.rollouts.get(choice.flag.rollout)
    if view.killed or present is None or present.flag != choice.flag:
        message = "The rollout was changed while this request waited; try again."
        raise ShedError(message, error_class="choice_overtaken")


def exposed(choice: Choice, wanted: Sequence[Exposed]) -> list[tuple[bytes, bytes]]:
    """Return the `x-turnout-*` headers that the application is shown."""
    assignment = choice.assignment
    values: dict[Exposed, str | int | None] = {
        "rollout": choice.flag.rollout if choice.flag is not None else None,
        "arm": choice.arm,
        "model": choice.deployment.model,
        "bucket": assignment.bucket if assignment is not None else None,
    }
    shown = ((name, values[name]) for name in wanted)
    return [(f"x-turnout-{name}".encode(), str(value).encode("utf-8")) for name, value in shown if value is not None]
