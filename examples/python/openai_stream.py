"""A streamed answer with the official client, and a rating of it by the answer's own id.

Needs `pip install openai`, and OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
"""

from __future__ import annotations

from openai import OpenAI


def main() -> None:
    """Print the answer as it comes, and rate it."""
    with OpenAI() as client:
        stream = client.chat.completions.create(
            model="sales-companion",
            messages=[{"role": "user", "content": "Write a reminder for an unpaid invoice."}],
            safety_identifier="alice",
            stream=True,
        )
        response_id = ""
        for chunk in stream:
            response_id = chunk.id
            for choice in chunk.choices:
                print(choice.delta.content or "", end="", flush=True)
        print("\narm:", stream.response.headers["x-turnout-arm"])

        rating = {"response_id": response_id, "rating": 4, "comment": "Friendly, a little long."}
        client.post("/feedback", body=rating, cast_to=object)
        print("feedback: sent")


if __name__ == "__main__":
    main()
