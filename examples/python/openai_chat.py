"""One question with the official client, who answered it, and what the user thought of the answer.

Needs `pip install openai`, and OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
"""

from __future__ import annotations

from openai import OpenAI


def main() -> None:
    """Ask, show the answer, and send a thumb."""
    with OpenAI() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="sales-companion",
            messages=[{"role": "user", "content": "Which plan fits five people?"}],
            safety_identifier="alice",
        )
        answer = raw.parse()
        print(f"{answer.model}: {answer.choices[0].message.content}")
        print("arm:", raw.headers["x-turnout-arm"], "| request:", raw.request_id)

        thumb = {"request_id": raw.request_id, "thumb": "up"}
        client.post("/feedback", body=thumb, cast_to=object)
        print("feedback: sent")


if __name__ == "__main__":
    main()
