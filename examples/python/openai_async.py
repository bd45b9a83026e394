"""Several users at once with the official asynchronous client.

Each user stays with one model: ask again, and the same one answers.
Needs `pip install openai`, and OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
"""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI

USERS = ("alice", "bob", "carol")


async def ask(client: AsyncOpenAI, user: str) -> str:
    """Return who answered a user, and the answer."""
    answer = await client.chat.completions.create(
        model="sales-companion",
        messages=[{"role": "user", "content": "Which plan fits five people?"}],
        safety_identifier=user,
    )
    return f"{user} got {answer.model}: {answer.choices[0].message.content}"


async def main() -> None:
    """Ask for all users at the same time."""
    async with AsyncOpenAI() as client:
        for line in await asyncio.gather(*(ask(client, user) for user in USERS)):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
