"""Judge rollouts: their arms, the public names that lead to them, their salts, their plans. Pure.

A public name leads to at most one rollout. A rollout's own name is never a model's, so that a report's reader can tell
them apart; `also_for` may name models, and then live requests for that model go to the rollout.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from gateway.settings.plans import plan_problems
from gateway.settings.problem import Problem, dotted, error_at, nearest, quoted, shown, warning_at
from gateway.settings.schema import PERCENT_FROM, Configuration, PercentFrom, RolloutDefinition

_PUBLIC_NAME = re.compile(r"[!-~]{1,256}")
_PROVIDER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_FLAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def rollout_problems(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is wrong with the rollouts, alone and together."""
    for name, rollout in configuration.rollouts.items():
        yield from _arms(name, rollout, configuration)
        yield from _aliases(name, rollout, configuration)
        yield from _crowding(rollout, configuration)
        if rollout.percent_from is not None:
            yield from _foreign(name, rollout.percent_from)
        if not _FLAG.fullmatch(rollout.flag):
            message = f"{shown(rollout.flag)} is no flag's name; use 1 to 128 of A-Z a-z 0-9 . _ -"
            yield error_at(("rollouts", name, "flag"), message)
        yield from plan_problems(name, rollout)
    yield from _claimed_twice(configuration)
    yield from _shared_salts(configuration)


def _foreign(name: str, source: PercentFrom) -> Iterator[Problem]:
    place = ("rollouts", name, PERCENT_FROM)
    if not _PROVIDER.fullmatch(source.provider):
        message = (
            f'{shown(source.provider)} is no place in Python; write "module:attribute", such as "acme.flags:provider"'
        )
        yield error_at((*place, "provider"), message)
    for key in (*source.options, *source.secrets):
        if not key.isidentifier():
            message = f"{quoted(key)} cannot be an argument's name; use letters, digits and _"
            yield error_at((*place, "options" if key in source.options else "secrets"), message)
    for key, value in source.options.items():
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            yield error_at(
                (*place, "options", key), f"{shown(value)} cannot be passed; write text, a number, true or false"
            )
    for key in source.options.keys() & source.secrets.keys():
        yield error_at((*place, "secrets", key), "stands in options too; take it out of one")


def _arms(name: str, rollout: RolloutDefinition, configuration: Configuration) -> Iterator[Problem]:
    for arm, model in (("base", rollout.base), ("candidate", rollout.candidate)):
        if model not in configuration.models:
            remedy = f"add [{dotted(('models', model))}]{nearest(model, configuration.models)}"
            yield error_at(("rollouts", name, arm), f"{shown(model)} is not a configured model; {remedy}")
    if rollout.base == rollout.candidate:
        message = f"{shown(rollout.candidate)} is the base too; name the fine-tuned model"
        yield error_at(("rollouts", name, "candidate"), message)
    if name in configuration.models:
        message = f"a model has this name too; name the rollout differently and give it also_for = [{quoted(name)}]"
        yield error_at(("rollouts", name), message)


def _crowding(rollout: RolloutDefinition, configuration: Configuration) -> Iterator[Problem]:
    host, model = configuration.server.max_concurrent, configuration.models.get(rollout.candidate)
    if host is not None and model is not None and (model.max_concurrent is None or model.max_concurrent >= host):
        message = (
            f"a slow candidate may take all {host} places of the host (server.max_concurrent); write fewer than that"
        )
        yield warning_at(("models", rollout.candidate, "max_concurrent"), message)


def _aliases(name: str, rollout: RolloutDefinition, configuration: Configuration) -> Iterator[Problem]:
    for at, alias in enumerate(rollout.also_for):
        place = ("rollouts", name, "also_for", at)
        if not _PUBLIC_NAME.fullmatch(alias):
            yield error_at(place, f"{shown(alias)} is no name; use 1 to 256 visible ASCII characters and no space")
        if alias == name or alias in rollout.also_for[:at]:
            yield error_at(place, f"{shown(alias)} leads to this rollout already; take it out")
        elif alias in configuration.models and alias != rollout.base:
            message = f"{shown(alias)} is not this rollout's base, so its callers change models at once, at any percent"
            yield warning_at(place, f"{message}; take it out unless that is meant")


def _claimed_twice(configuration: Configuration) -> Iterator[Problem]:
    owners = {name: name for name in configuration.rollouts}
    for name, rollout in configuration.rollouts.items():
        for at, alias in enumerate(rollout.also_for):
            owner = owners.setdefault(alias, name)
            if owner != name:
                message = f"{shown(alias)} leads to rollout {quoted(owner)} already; a name leads to one rollout"
                yield error_at(("rollouts", name, "also_for", at), f"{message}: take it out of one")


def _shared_salts(configuration: Configuration) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, rollout in configuration.rollouts.items():
        if rollout.salt is None:
            continue
        owner = first.setdefault(rollout.salt, name)
        if owner != name:
            message = f"rollout {quoted(owner)} has the same salt, so the same users are first in both; leave salt out"
            yield warning_at(("rollouts", name, "salt"), message)
