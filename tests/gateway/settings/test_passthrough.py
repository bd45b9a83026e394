"""What applications may call beside models: what a line permits, and which lines are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.settings.passthrough import grant, passthrough_problems
from gateway.settings.schema import Application, Configuration, Upstream

ONE = {"openai": Upstream(base_url="https://api.openai.com/v1")}
TWO = {**ONE, "azure": Upstream(base_url="https://azure.example/v1")}


def problems(*lines: str, upstreams: dict[str, Upstream] = ONE, **application: Any) -> list[str]:
    shop = Application(passthrough=lines, **application)
    return [str(found) for found in passthrough_problems(Configuration(upstreams=upstreams, applications={"a": shop}))]


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("POST /v1/files", "/v1/files", True),
        ("POST /v1/files", "/v1/files/", False),
        ("POST /v1/files", "/v1/filesX", False),
        ("POST /v1/files", "/v1/Files", False),
        ("GET /v1/files/{id}", "/v1/files/file-abc_1.2", True),
        ("GET /v1/files/{id}", "/v1/files/ft%3Aa:b", True),
        ("GET /v1/files/{id}", "/v1/files", False),
        ("GET /v1/files/{id}", "/v1/files/", False),
        ("GET /v1/files/{id}", "/v1/files/a/content", False),
        ("GET /v1/files/{id}", "/v1/files/a%2Fcontent", False),
        ("GET /v1/files/{id}", "/v1/files/a%2fcontent", False),
        ("GET /v1/files/{id}", "/v1/files/a%5Ccontent", False),
        ("GET /v1/files/{id}", "/v1/files/%2e%2e", False),
        ("GET /v1/files/{id}", "/v1/files/a%252Fb", False),
        ("GET /v1/files/{id}", "/v1/files/a%00", False),
        ("GET /v1/files/{id}", "/v1/files/a%0d%0ab", False),
        ("GET /v1/files/{id}", "/v1/files/a;b", False),
        ("GET /v1/files/{id}", "/v1/files/a\\b", False),
        ("GET /v1/files/{id}", "/v1/files/a%zz", False),
        ("GET /v1/files/{id}/content", "/v1/files/a/content", True),
        ("GET /v1/a.b", "/v1/aXb", False),
    ],
)
def test_a_line_permits_what_it_says_and_nothing_else(pattern: str, path: str, *, fits: bool):
    one = grant(pattern)

    assert one is not None
    assert (one.path.fullmatch(path) is not None) == fits


@pytest.mark.parametrize(
    "line",
    [
        "",
        "/v1/files",
        "GET files",
        "get /v1/files",
        "GET  /v1/files",
        "GET /v1",
        "GET /v1/",
        "GET /v2/files",
        "GET /v1/files/",
        "GET /v1//files",
        "GET /v1/files/*",
        "GET /v1/files/**",
        "GET /v1/files/x{id}",
        "GET /v1/files/{}",
        "GET /v1/files/{Id}",
        "GET /v1/files?x=y",
        "GET /v1/../admin",
        "GET /v1/a/./b",
        "GET /v1/files\n",
        "OPTIONS /v1/files",
        "HEAD /v1/files",
    ],
)
def test_a_line_of_another_form_is_refused_with_the_form_it_needs(line: str):
    (problem,) = problems(line)

    assert problem.startswith("applications.a.passthrough[0]: ")
    assert 'write GET, POST, PUT, PATCH, DELETE and a path: "GET /v1/files/{id}"' in problem


@pytest.mark.parametrize(
    "line",
    [
        "GET /v1/models",
        "GET /v1/models/{id}",
        "GET /v1/models/gpt-4o",
        "POST /v1/models",
        "POST /v1/feedback",
        "GET /v1/feedback",
        "DELETE /v1/feedback/{id}",
        "POST /v1/chat/completions",
        "POST /v1/responses",
        "POST /v1/audio/transcriptions",
    ],
)
def test_what_turnout_answers_itself_cannot_be_listed(line: str):
    assert problems(line) == [f'applications.a.passthrough[0]: "{line}" is answered by Turnout itself; leave it out']


@pytest.mark.parametrize(
    "line",
    [
        "DELETE /v1/models/{id}",
        "POST /v1/fine_tuning/jobs/{id}/cancel",
        "GET /v1/fine-tunes/{id}",
        "GET /v1/organization/{anything}",
        "GET /v1/organizations/{id}/users",
        "POST /v1/projects/{id}",
    ],
)
def test_what_governs_models_training_or_the_account_takes_no_placeholder(line: str):
    (problem,) = problems(line)

    assert "may only be listed as a whole path" in problem


@pytest.mark.parametrize(
    "line",
    [
        "DELETE /v1/models/ft-abc",
        "POST /v1/fine_tuning/jobs",
        "GET /v1/organization/users",
        "GET /v1/chat/completions",
        "GET /v1/responses/{id}",
        "POST /v1/responses/{id}/cancel",
        "POST /v1/vector_stores/{store}/files",
    ],
)
def test_whole_paths_and_placeholders_elsewhere_are_fine(line: str):
    assert problems(line) == []


def test_no_placeholder_stands_for_every_kind_of_resource():
    (problem,) = problems("GET /v1/{kind}/{id}")

    assert "begins with a placeholder" in problem


def test_a_line_stands_once():
    (problem,) = problems("GET /v1/files", "GET /v1/files")

    assert problem == 'applications.a.passthrough[1]: "GET /v1/files" is listed twice; leave one out'


def test_more_than_one_upstream_needs_a_name():
    (problem,) = problems("GET /v1/files", upstreams=TWO)

    assert problem == (
        "applications.a.passthrough_upstream: is needed with more than one upstream; name one of azure, openai"
    )
    assert problems("GET /v1/files", upstreams=TWO, passthrough_upstream="azure") == []
    assert problems(upstreams=TWO) == []


def test_the_named_upstream_exists():
    (problem,) = problems("GET /v1/files", passthrough_upstream="opena")

    assert problem == (
        'applications.a.passthrough_upstream: "opena" is not a configured upstream; did you mean "openai"?'
    )


def test_an_upstream_without_a_list_is_told():
    (problem,) = problems(passthrough_upstream="openai")

    assert problem.startswith("warning: applications.a.passthrough_upstream: nothing is listed")
