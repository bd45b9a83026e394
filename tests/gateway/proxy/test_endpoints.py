"""Which paths a model's name opens, and by which names they are recorded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.endpoints import KNOWN, OTHER, endpoint_of

NAMES = {endpoint.name for endpoint in KNOWN.values()} | {OTHER.name}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "chat.completions"),
        ("/v1/completions", "completions"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/responses", "responses"),
        ("/v1/moderations", "moderations"),
        ("/v1/images/generations", "images.generations"),
        ("/v1/audio/speech", "audio.speech"),
        ("/v1/rerank", "rerank"),
        ("/v1/poems", "other"),
        ("/v1/audio/songs/long", "other"),
    ],
)
def test_an_endpoint_has_a_name(path: str, name: str):
    endpoint = endpoint_of(path)

    assert endpoint is not None
    assert endpoint.name == name


@pytest.mark.parametrize(
    "path",
    [
        "/v1/",
        "/v1/files",
        "/v1/models/gpt",
        "/v1/fine_tuning/jobs",
        "/v1/organization/admin_api_keys",
        "/v1/realtime/client_secrets",
        "/v1/threads/runs",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/load_lora_adapter",
        "/v1/audio/voices",
        "/v1/fine-tuning/jobs",
        "/v1/key/generate",
        "/v1/model/delete",
        "/v1/engines/x/completions",
        "/v1/completions/x",
        "/v1/poems/",
        "/v1//poems",
        "/v1/Poems",
        "/v1/poems%20",
        "/v1/poems;x=1",
        "/v1/../files",
        "/v1/a/b/c/d/e",
        "/v1/" + "x" * 65,
        "/v1/files\n",
        "/v1/poems\n",
    ],
)
def test_what_is_no_plain_path_or_belongs_to_the_account_is_no_endpoint(path: str):
    assert endpoint_of(path) is None


@given(st.text(alphabet="abz-_/.%09AZ", max_size=40))
def test_no_caller_brings_a_new_name(rest: str):
    endpoint = endpoint_of(f"/v1/{rest}")

    assert endpoint is None or endpoint.name in NAMES


def test_usage_is_asked_for_where_openai_documents_the_option():
    assert {e.name for e in KNOWN.values() if e.injects_usage} == {"chat.completions", "completions"}
