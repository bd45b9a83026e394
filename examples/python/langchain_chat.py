"""A chain, a stream and a tool call with LangChain.

Needs `pip install langchain-openai`, and OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
"""

from __future__ import annotations

from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def look_up_price(plan: str, seats: int) -> str:
    """Find what a plan costs a month."""
    return f"{plan} for {seats} people costs {20 * seats} USD a month."


def main() -> None:
    """Ask three times: with a prompt's template, streamed, and with a tool."""
    model = ChatOpenAI(
        model="sales-companion",
        extra_body={"safety_identifier": "alice"},
        include_response_headers=True,
    )
    prompt = ChatPromptTemplate.from_messages([("system", "You sell software."), ("user", "{question}")])
    answer = (prompt | model).invoke({"question": "Which plan fits five people?"})
    print(f"{answer.response_metadata['model_name']}: {answer.content}")
    print("arm:", answer.response_metadata["headers"]["x-turnout-arm"])

    for piece in model.stream("Write a reminder for an unpaid invoice."):
        print(piece.content, end="", flush=True)
    print()

    asked = model.bind_tools([look_up_price], tool_choice="look_up_price").invoke("What does Pro cost for five?")
    for call in asked.tool_calls:
        print(f"tool: {call['name']}({', '.join(call['args'])})")


if __name__ == "__main__":
    main()
