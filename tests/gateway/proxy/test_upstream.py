"""What is aiohttp's own; what every client promises stands in `tests/contracts/`."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from gateway.proxy.upstream import AiohttpUpstream, StalledFault
from tests.fakes.peer import Peer
from tests.fakes.upstream import call_to, closed_port, serving, until, whole

pytestmark = pytest.mark.anyio


def every(error: type[Exception]) -> set[type[Exception]]:
    return {error}.union(*(every(below) for below in error.__subclasses__()))


async def test_a_send_on_a_client_that_was_closed_is_our_own_mistake_and_said_to_be():
    upstream = AiohttpUpstream()
    await upstream.close()

    with pytest.raises(RuntimeError):
        await upstream.send(call_to(f"http://127.0.0.1:{closed_port()}"))


async def test_a_kept_connection_that_its_upstream_closed_is_not_used_again():
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"ok")
        await asyncio.sleep(0.05)
        peer.close()
        ended.append(peer)

    ended: list[Peer] = []
    upstream = AiohttpUpstream()
    with serving(script) as fake:
        for number in range(3):
            assert await whole(await upstream.send(call_to(fake.url))) == b"ok"
            await until(lambda count=number + 1: len(ended) == count)
            await asyncio.sleep(0.1)
    await upstream.close()


@pytest.mark.parametrize("limit_s", [0.1, 0.2])
async def test_a_limit_that_passes_while_connecting_is_named_by_what_was_waited_for(limit_s: float):
    upstream = AiohttpUpstream()
    with serving(Peer.gone) as fake:
        secure = fake.url.replace("http:", "https:")
        with pytest.raises(StalledFault) as caught:
            await upstream.send(call_to(secure, first_byte_s=limit_s, connect_s=5.0))
    await upstream.close()

    assert caught.value.limit == "first_byte"


def test_aiohttp_has_no_kind_of_error_that_was_not_looked_at():
    known = """
        ClientConnectionError ClientConnectionResetError ClientConnectorCertificateError ClientConnectorDNSError
        ClientConnectorError ClientConnectorSSLError ClientError ClientHttpProxyError ClientOSError ClientPayloadError
        ClientProxyConnectionError ClientResponseError ClientSSLError ConnectionTimeoutError ContentTypeError InvalidURL
        InvalidUrlClientError InvalidUrlRedirectClientError NonHttpUrlClientError NonHttpUrlRedirectClientError
        RedirectClientError ServerConnectionError ServerDisconnectedError ServerFingerprintMismatch ServerTimeoutError
        SocketTimeoutError TooManyRedirects UnixClientConnectorError UploadAbortedError WSServerHandshakeError
    """

    found = {error.__name__ for error in every(aiohttp.ClientError) if error.__module__.startswith("aiohttp")}

    assert found <= set(known.split())
