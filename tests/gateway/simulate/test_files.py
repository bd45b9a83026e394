from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from tests.fakes.simulated import checked, simulated

pytestmark = pytest.mark.anyio
LINES = ("lines.jsonl", b'{"a": 1}\n\xff', "application/jsonl")


@pytest.fixture
async def files() -> AsyncGenerator[Any]:
    async with simulated() as (client, _):
        yield client.files


async def test_a_file_is_kept_shown_and_deleted(files: Any):
    made = await files.create(file=LINES, purpose="user_data")
    shown = await files.retrieve(made.id)
    content = await files.content(made.id)
    gone = await files.delete(made.id)

    assert checked(made)["bytes"] == len(LINES[1])
    assert shown == made
    assert content.content == LINES[1]
    assert gone.deleted
    with pytest.raises(openai.NotFoundError, match="No such File"):
        await files.retrieve(made.id)


async def test_files_are_listed_in_pages_newest_first(files: Any):
    made = [await files.create(file=(f"{n}.txt", b"a"), purpose="user_data") for n in range(5)]
    await files.create(file=("other.txt", b"a"), purpose="batch")

    listed = [one.id async for one in files.list(limit=2, purpose="user_data")]
    oldest = await files.list(order="asc", limit=1)

    assert listed == [one.id for one in reversed(made)]
    assert oldest.data[0].id == made[0].id


@pytest.mark.parametrize("purpose", ["", "fun"])
async def test_a_purpose_that_is_none_is_refused(files: Any, purpose: str):
    with pytest.raises(openai.BadRequestError) as caught:
        await files.create(file=LINES, purpose=purpose)

    assert caught.value.param == "purpose"
