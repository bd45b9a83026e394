"""What HTTP clients of tests are told: all is plain HTTP, so that none reads the system's certificates.

That takes 16 ms, at every client and every `httpx.get`, and asking takes one.
"""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The `verify` of httpx: a context that trusts nobody."""
