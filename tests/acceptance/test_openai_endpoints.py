"""The official client's other endpoints through Turnout: what it gets is what the model itself would have said."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.acceptance.harness import BASE, CANDIDATE, CONFIG, ROLLOUT, SIMULATED, Installation, installed

QUESTION = "Which plan fits five people?"
TOOL: Any = {
    "type": "function",
    "name": "look_up_price",
    "parameters": {
        "type": "object",
        "properties": {"plan": {"type": "string"}},
        "required": ["plan"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Quote(BaseModel):
    plan: str
    seats: int


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    simulated = {name: f"seed = 7\n{text}" for name, text in SIMULATED.items()}
    with installed(tmp_path_factory.mktemp("endpoints"), config=CONFIG, simulated=simulated) as installation:
        yield installation


@pytest.fixture(scope="module")
def client(one: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=one.base_url, api_key=one.keys["application"], max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def straight(one: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=one.simulated["base"].base_url, api_key="any", max_retries=0) as made:
        yield made


def told(answer: Any) -> dict[str, Any]:
    """Return an answer without what differs between any two."""
    return answer.model_dump(exclude={"id", "created", "created_at", "completed_at", "metadata"}, warnings=False)


CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "a completion": lambda to: to.completions.create(model=BASE, prompt=QUESTION, seed=1),
    "two completions": lambda to: to.completions.create(model=BASE, prompt=[QUESTION, "Hello"], n=2, seed=1),
    "an embedding": lambda to: to.embeddings.create(model=BASE, input=QUESTION),
    "embeddings as floats": lambda to: to.embeddings.create(
        model=BASE, input=[QUESTION, "Hello"], encoding_format="float", dimensions=8
    ),
    "a count of tokens": lambda to: to.responses.input_tokens.count(model=BASE, input=QUESTION),
    "a moderation": lambda to: to.moderations.create(model=BASE, input="flag:violence"),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_is_the_one_that_the_model_gives(call: str, client: openai.OpenAI, straight: openai.OpenAI):
    assert told(CALLS[call](client)) == told(CALLS[call](straight))


def test_a_streamed_completion_has_the_same_chunks(client: openai.OpenAI, straight: openai.OpenAI):
    through, before = (
        [told(chunk) for chunk in to.completions.create(model=BASE, prompt=QUESTION, seed=1, stream=True)]
        for to in (client, straight)
    )

    assert through == before
    assert len(through) > 1


def test_a_vector_survives_in_the_encoding_that_the_client_asks_for(client: openai.OpenAI):
    made = client.embeddings.create(model=ROLLOUT, input=QUESTION, user="ada")
    floats = client.embeddings.create(model=ROLLOUT, input=QUESTION, user="ada", encoding_format="float")

    assert made.model == BASE
    as_single = [struct.unpack("f", struct.pack("f", number))[0] for number in floats.data[0].embedding]
    assert made.data[0].embedding == pytest.approx(as_single)


def test_a_response_is_made_and_goes_on(client: openai.OpenAI):
    first = client.responses.create(model=ROLLOUT, input=QUESTION, safety_identifier="ada")
    second = client.responses.create(
        model=ROLLOUT, input="And for six?", previous_response_id=first.id, safety_identifier="ada"
    )

    assert first.output_text
    assert first.model == BASE
    assert second.previous_response_id == first.id
    assert second.usage is not None


def test_a_streamed_response_has_every_event_in_order(client: openai.OpenAI):
    events = list(client.responses.create(model=ROLLOUT, input=QUESTION, safety_identifier="ada", stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


def test_the_responses_helper_collects_the_response(client: openai.OpenAI):
    with client.responses.stream(model=ROLLOUT, input=QUESTION, safety_identifier="ada") as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()

    assert final.output_text == deltas != ""


def test_a_response_by_a_schema_is_parsed(client: openai.OpenAI):
    response = client.responses.parse(model=ROLLOUT, input=QUESTION, text_format=Quote, safety_identifier="ada")

    assert isinstance(response.output_parsed, Quote)


def test_a_tool_of_a_response_goes_there_and_back(client: openai.OpenAI):
    asked = client.responses.create(
        model=ROLLOUT, input=QUESTION, tools=[TOOL], tool_choice="required", safety_identifier="ada"
    )
    [call] = [item for item in asked.output if item.type == "function_call"]
    answered: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "20 USD"}]

    final = client.responses.create(
        model=ROLLOUT, input=answered, tools=[TOOL], previous_response_id=asked.id, safety_identifier="ada"
    )

    assert call.name == "look_up_price"
    assert final.output_text


@pytest.mark.anyio
async def test_the_asynchronous_client_reaches_them_too(one: Installation):
    async with openai.AsyncOpenAI(base_url=one.base_url, api_key=one.keys["application"], max_retries=0) as client:
        vectors = await client.embeddings.create(model=CANDIDATE, input=[QUESTION, "Hello"], dimensions=8)
        completion = await client.completions.create(model=BASE, prompt=QUESTION)
        async with client.responses.stream(model=ROLLOUT, input=QUESTION, safety_identifier="ada") as stream:
            final = await stream.get_final_response()

    assert [len(vector.embedding) for vector in vectors.data] == [8, 8]
    assert completion.choices[0].text
    assert final.output_text


def test_the_lake_knows_what_each_of_them_used(client: openai.OpenAI, one: Installation):
    marked: Any = {"extra_headers": {"x-turnout-tags": "test=endpoints"}}
    client.completions.create(model=BASE, prompt=QUESTION, **marked)
    client.embeddings.create(model=BASE, input=QUESTION, **marked)
    client.responses.create(model=BASE, input=QUESTION, **marked)

    rows = one.lake(
        "SELECT endpoint, usage_source, input_tokens > 0 AS counted, outcome FROM records "
        "WHERE tags['test'] = 'endpoints' ORDER BY endpoint"
    )

    assert rows == [
        {"endpoint": name, "usage_source": "reported", "counted": True, "outcome": "ok"}
        for name in ("completions", "embeddings", "responses")
    ]
