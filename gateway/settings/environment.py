"""The process's environment: read here and nowhere else, and passed on by an allow-list.

`turnout.toml` says what an installation is; the variables say where one process finds it. A proxy variable is never
passed on: the only way out is the one that the configuration names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from gateway.settings.problem import Keys
from gateway.settings.schema import PERCENT_FROM, Configuration
from gateway.settings.secrets import MASTER_VARIABLE

CONFIG_VARIABLE = "TURNOUT_CONFIG"
STATE_DIR_VARIABLE = "TURNOUT_STATE_DIR"
URL_VARIABLE = "TURNOUT_URL"
KEY_VARIABLE = "TURNOUT_KEY"

VARIABLES: Mapping[str, str] = {
    CONFIG_VARIABLE: "path of the configuration file; default: turnout.toml in the working directory",
    STATE_DIR_VARIABLE: "path of the state directory; default: turnout-data in the working directory",
    URL_VARIABLE: "the console's address, for the commands; default: found in the state directory",
    KEY_VARIABLE: "an ops or admin key, for the commands; default: found in the state directory",
    MASTER_VARIABLE: "the installation's master secret, 32 bytes or more; default: `secret` in the state directory",
}
"""Every variable of Turnout's own, and what it means; `docs/configuration.md` lists the same."""

Role = Literal["worker", "fleet_worker", "shipper", "console"]

_NAMES = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONWARNINGS", "PYTHONHASHSEED", "PYTHONFAULTHANDLER"),
        *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH"),
    }
)
_OTHERS = ("lake", "telemetry", "webhooks", PERCENT_FROM)
"""Sections whose secrets no worker needs."""
_CONSOLES = ("redis", "webhooks", PERCENT_FROM)
"""Sections whose secrets the console works with."""
_PREFIXES = ("LC_", "MALLOC_", "COVERAGE_", "TURNOUT_")
"""Locale, the C allocator's tuning, coverage's hand-over to child processes, our own."""


def process_environment() -> dict[str, str]:
    """Return a copy of this process's environment, taken now."""
    return dict(os.environ)


def state_dir(environment: Mapping[str, str]) -> Path:
    """Return the state directory; it need not exist."""
    return Path(environment.get(STATE_DIR_VARIABLE) or "turnout-data")


def config_path(environment: Mapping[str, str]) -> Path:
    """Return the configuration file's path; it need not exist."""
    return Path(environment.get(CONFIG_VARIABLE) or "turnout.toml")


def child_environment(
    configuration: Configuration, environment: Mapping[str, str], *, role: Role = "worker"
) -> dict[str, str]:
    """Return what a child process may know: the allow-list, and the secrets that its role works with.

    A worker gets the master secret and every variable that the configuration refers to, but for `[lake]`,
    `[telemetry]`, `[webhooks]` and rollouts' `percent_from`; the console the master secret and what `[redis]` and the
    latter two refer to; the shipper neither. A worker of a fleet, whose definitions come later and change, gets all
    that its host was given beside these four's. `TURNOUT_KEY`, an
    operator's key, is passed to none. What opens an object store comes from `lake_variables`, for shipper and console
    alone; what an OTLP backend wants from `telemetry_variables`, for the shipper alone.
    """
    names = set(_NAMES)
    withheld = {KEY_VARIABLE, MASTER_VARIABLE} if role == "shipper" else {KEY_VARIABLE}
    refs = [(_section(keys), ref.env) for keys, ref in configuration.secret_refs() if ref.env is not None]
    if role == "worker":
        names |= {name for section, name in refs if section not in _OTHERS}
    elif role == "console":
        lent = {name for section, name in refs if section in _CONSOLES}
        names |= lent
        withheld |= {name for _, name in refs} - lent - {MASTER_VARIABLE}
    else:
        withheld |= {name for section, name in refs if role == "shipper" or section in _OTHERS} - {MASTER_VARIABLE}
    return {
        name: value
        for name, value in environment.items()
        if (role == "fleet_worker" or name in names or name.startswith(_PREFIXES))
        and name not in withheld
        and not name.lower().endswith("_proxy")
    }


def _section(keys: Keys) -> str:
    """Return whose a reference is: its table's, or a foreign percent's."""
    return PERCENT_FROM if PERCENT_FROM in keys[2:3] else str(keys[0])
