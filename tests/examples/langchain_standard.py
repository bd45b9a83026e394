"""LangChain's standard chat-model integration tests, run in LangChain's own environment by `test_langchain.py`.

The model is LangChain's for OpenAI as it is; OPENAI_BASE_URL and OPENAI_API_KEY lead it here.
"""

from __future__ import annotations

from typing import Any

from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestThroughTurnout(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "sales-companion", "stream_usage": True, "extra_body": {"safety_identifier": "alice"}}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return False  # the test's picture is fetched from the web

    @property
    def supports_image_urls(self) -> bool:
        return False  # as above

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "gpt-4o-mini"


class TestThroughTurnoutByResponses(TestThroughTurnout):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "use_responses_api": True}
