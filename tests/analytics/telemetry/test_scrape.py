from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from analytics.telemetry.scrape import ScrapeServer
from tests.fakes.plain import PLAIN


@contextmanager
def served(page: Callable[[], str]) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = ScrapeServer(listener, page)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def get(url: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, url, trust_env=False, verify=PLAIN, timeout=20)


def test_the_page_is_what_prometheus_reads() -> None:
    with served(lambda: "turnout_a 1\n") as url:
        answer, head = get(f"{url}/metrics?name=x"), get(f"{url}/metrics", "HEAD")

    assert (answer.status_code, answer.text) == (200, "turnout_a 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (head.status_code, head.headers["content-length"], head.text) == (200, "12", "")


def test_nothing_else_is_there() -> None:
    with served(lambda: "turnout_a 1\n") as url:
        answer, post = get(f"{url}/"), get(f"{url}/metrics", "POST")

    assert (answer.status_code, answer.text) == (404, "Nothing is here; ask for /metrics.\n")
    assert post.status_code == 501


def test_a_page_that_cannot_be_made_is_an_error_and_the_next_one_is_served() -> None:
    divisors = iter([0, 1])
    with served(lambda: f"turnout_a {1 // next(divisors)}\n") as url:
        failed, served_again = get(f"{url}/metrics"), get(f"{url}/metrics")

    assert failed.status_code == 500
    assert failed.text == "The measures cannot be told: ZeroDivisionError; see the state directory.\n"
    assert served_again.status_code == 200


def test_scrapers_that_say_nothing_take_a_bounded_number_of_places() -> None:
    with served(lambda: "turnout_a 1\n") as url:
        address = ("127.0.0.1", httpx.URL(url).port or 0)
        silent = [socket.create_connection(address, timeout=20) for _ in range(8)]
        with socket.create_connection(address, timeout=20) as turned_away:
            assert turned_away.recv(1) == b""
        for one in silent:
            one.close()
        answers = (get_or_none(f"{url}/metrics") for _ in range(1000))

        assert next(answer for answer in answers if answer is not None).status_code == 200


def get_or_none(url: str) -> httpx.Response | None:
    try:
        return get(url)
    except httpx.TransportError:
        return None


def test_a_scraper_that_leaves_is_no_trouble() -> None:
    with served(lambda: "turnout_a 1\n" * 1_000_000) as url:
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as one:
            one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert one.recv(10)

        assert get(f"{url}/metrics").status_code == 200
