// What the official client for Node.js does, through Turnout. Every test's name is repeated by test_node_clients.py.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ maxRetries: 0 });
const MODEL = "sales-companion";
const messages = [{ role: "user", content: "Which plan fits five people?" }];
const asked = { model: MODEL, messages, safety_identifier: "alice", seed: 1 };
const parameters = {
  type: "object",
  properties: { plan: { type: "string" }, seats: { type: "integer" } },
  required: ["plan", "seats"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "look_up_price", parameters } }];

test("a chat completion is answered", async () => {
  const answer = await client.chat.completions.create(asked);
  assert.equal(answer.model, "gpt-4o-mini");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

test("headers come with the answer", async () => {
  const { response, request_id } = await client.chat.completions.create(asked).withResponse();
  assert.equal(response.headers.get("x-turnout-arm"), "base");
  assert.equal(response.headers.get("x-request-id"), request_id);
});

test("a stream has the words of the whole answer, and no usage that was not asked for", async () => {
  const whole = await client.chat.completions.create(asked);
  let words = "";
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    assert.equal(chunk.choices.length, 1);
    words += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(words, whole.choices[0].message.content);
});

test("a stream ends with the usage that was asked for", async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ ...asked, ...options })) chunks.push(chunk);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test("the stream's helper collects the completion", async () => {
  const stream = client.chat.completions.stream(asked);
  let heard = "";
  stream.on("content", (delta) => (heard += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, heard);
});

test("several choices are several", async () => {
  const answer = await client.chat.completions.create({ ...asked, n: 3 });
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
});

test("log probabilities come token by token", async () => {
  const answer = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 1 });
  const told = answer.choices[0].logprobs.content.map((one) => one.token).join("");
  assert.equal(told, answer.choices[0].message.content);
});

test("JSON mode answers JSON", async () => {
  const answer = await client.chat.completions.create({ ...asked, response_format: { type: "json_object" } });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content), "object");
});

test("an answer by a schema is parsed", async () => {
  const Quote = z.object({ plan: z.string(), seats: z.number().int(), yearly: z.boolean() });
  const answer = await client.chat.completions.parse({ ...asked, response_format: zodResponseFormat(Quote, "quote") });
  assert.deepEqual(Quote.parse(answer.choices[0].message.parsed), answer.choices[0].message.parsed);
});

test("a tool is called by its schema", async () => {
  const answer = await client.chat.completions.create({ ...asked, tools, tool_choice: "required" });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["plan", "seats"]);
});

test("a tool's call is streamed in pieces", async () => {
  const stream = await client.chat.completions.create({ ...asked, tools, tool_choice: "required", stream: true });
  let words = "";
  for await (const chunk of stream) words += chunk.choices[0].delta.tool_calls?.[0]?.function?.arguments ?? "";
  assert.deepEqual(Object.keys(JSON.parse(words)), ["plan", "seats"]);
});

test("the tools' runner goes there and back", async () => {
  const calls = [];
  const look = { name: "look_up_price", parameters, parse: JSON.parse, function: (told) => calls.push(told) && "20 USD" };
  const runner = client.chat.completions.runTools({ ...asked, tools: [{ type: "function", function: look }] });
  assert.ok(await runner.finalContent());
  assert.equal(calls.length, 1);
});

test("a stream that is left ends at the model too", async () => {
  const mark = { model: "slow", messages, metadata: { simulate_id: "left-by-node" }, stream: true };
  const stream = await client.chat.completions.create(mark);
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  assert.ok(stream.controller.signal.aborted);
});

test("an aborted question throws the client's own error", async () => {
  const controller = new AbortController();
  const mark = { model: "slow", messages, metadata: { simulate_id: "aborted-by-node" }, stream: true };
  const stream = await client.chat.completions.create(mark, { signal: controller.signal });
  const heard = [];
  for await (const chunk of stream) {
    heard.push(chunk);
    controller.abort();
  }
  assert.ok(heard.length);
  const late = client.chat.completions.create({ ...mark, stream: false }, { signal: controller.signal });
  await assert.rejects(late, OpenAI.APIUserAbortError);
});

test("a client's own timeout is its own error", async () => {
  const mark = { model: "slow", messages, metadata: { simulate_id: "timed-out-by-node" } };
  await assert.rejects(client.chat.completions.create(mark, { timeout: 3000 }), OpenAI.APIConnectionTimeoutError);
});

test("a wrong key is an authentication error", async () => {
  const stranger = new OpenAI({ apiKey: "sk-of-somebody-else", maxRetries: 0 });
  await assert.rejects(stranger.chat.completions.create(asked), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
});

test("an unknown model is a not-found error", async () => {
  await assert.rejects(client.chat.completions.create({ ...asked, model: "gpt-9" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
});

test("a bad question is a bad-request error with the model's own words", async () => {
  await assert.rejects(client.chat.completions.create({ ...asked, messages: [] }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "messages");
    return true;
  });
});

test("models are listed and retrieved", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes(MODEL));
  assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
});

test("an embedding is made", async () => {
  const made = await client.embeddings.create({ model: MODEL, input: ["one", "two"], dimensions: 8, user: "alice" });
  assert.deepEqual(made.data.map((vector) => vector.embedding.length), [8, 8]);
});

test("a completion and a moderation are answered", async () => {
  assert.ok((await client.completions.create({ model: MODEL, prompt: "Dear customer," })).choices[0].text);
  assert.equal((await client.moderations.create({ model: MODEL, input: "hello" })).results.length, 1);
});

test("a response is made, goes on and is streamed", async () => {
  const told = { model: MODEL, input: "Which plan fits five people?", safety_identifier: "alice" };
  const first = await client.responses.create(told);
  const second = await client.responses.create({ ...told, previous_response_id: first.id });
  assert.ok(first.output_text);
  assert.equal(second.previous_response_id, first.id);
  const final = await client.responses.stream(told).finalResponse();
  assert.ok(final.output_text);
});
