"""Find the running gateway and an application key for it: from options, the environment, or the state directory."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gateway.cli import Abort
from gateway.settings.environment import state_dir

GATEWAY_URL_VARIABLE = "TURNOUT_GATEWAY_URL"
APP_KEY_VARIABLE = "TURNOUT_APP_KEY"
_ADDRESSES_FILE = "addresses.json"
_FIRST_KEYS_FILE = "first-keys"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to: the address up to and with `/v1`, and the application key, if any."""

    url: str
    key: str | None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        said = {"content-type": "application/json", "accept": "*/*", "user-agent": "turnout-replay"}
        return said if self.key is None else {**said, "authorization": f"Bearer {self.key}"}


def find_target(url: str | None, key: str | None, directory: Path | None, environment: Mapping[str, str]) -> Target:
    """Return address and key; a key that lies on this machine is sent to this machine only.

    Raises:
        Abort: no address is known, or it is none.
    """
    directory = directory if directory is not None else state_dir(environment)
    address = url or environment.get(GATEWAY_URL_VARIABLE) or _found_url(directory)
    host = _host(address)
    key = key or environment.get(APP_KEY_VARIABLE)
    if not key and _is_local(host):
        key = _found_key(directory)
    return Target(url=address.rstrip("/").removesuffix("/v1") + "/v1", key=key or None)


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return parts.hostname
    except ValueError:
        pass
    message = f"{address!r} is no gateway's address; write for example --url http://127.0.0.1:8080"
    raise Abort(message, exit_code=2)


def _found_url(directory: Path) -> str:
    path = directory / _ADDRESSES_FILE
    try:
        return str(msgspec.json.decode(path.read_bytes())["gateway"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        message = f"no gateway is known: {path} does not tell its address; start `turnout serve`, or name it with --url"
        raise Abort(message) from error


def _found_key(directory: Path) -> str | None:
    try:
        lines = [line.split() for line in (directory / _FIRST_KEYS_FILE).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return None
    return next((words[1] for words in lines if words[:1] == ["application"] and len(words) in {2, 3}), None)


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
