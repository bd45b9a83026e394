// What the Vercel AI SDK does, through Turnout. Every test's name is repeated by test_node_clients.py.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAI, openai } from "@ai-sdk/openai";
import { APICallError, embed, generateObject, generateText, isStepCount, Output, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const model = openai.chat("sales-companion");
const asked = { model, maxRetries: 0, prompt: "Which plan fits five people?" };
const providerOptions = { openai: { safetyIdentifier: "alice" } };
const Quote = z.object({ plan: z.string(), seats: z.number().int(), yearly: z.boolean() });

async function collected(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

test("generateText answers", async () => {
  const { text, usage, finishReason, response } = await generateText({ ...asked, providerOptions });
  assert.ok(text);
  assert.equal(finishReason, "stop");
  assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  assert.equal(response.modelId, "gpt-4o-mini");
  assert.equal(response.headers["x-turnout-arm"], "base");
});

test("streamText streams, and knows its usage", async () => {
  const result = streamText({ ...asked, providerOptions });
  const pieces = await collected(result.textStream);
  assert.ok(pieces.length > 1);
  assert.equal(pieces.join(""), await result.text);
  assert.ok((await result.usage).outputTokens > 0);
  assert.equal(await result.finishReason, "stop");
});

test("generateObject answers by the schema", async () => {
  const { object } = await generateObject({ ...asked, schema: Quote });
  assert.deepEqual(Quote.parse(object), object);
});

test("streamObject streams by the schema", async () => {
  const { partialObjectStream, object } = streamObject({ ...asked, schema: Quote });
  assert.ok((await collected(partialObjectStream)).length > 0);
  assert.deepEqual(Quote.parse(await object), await object);
});

test("generateText gives an object as its output", async () => {
  const { output } = await generateText({ ...asked, output: Output.object({ schema: Quote }) });
  assert.deepEqual(Quote.parse(output), output);
});

const inputSchema = z.object({ plan: z.string(), seats: z.number().int() });
const execute = async ({ seats }) => `${20 * seats} USD`;
const tools = { lookUpPrice: tool({ description: "Find a price.", inputSchema, execute }) };

test("a tool is called and answered in steps", async () => {
  const { steps, text } = await generateText({ ...asked, tools, stopWhen: isStepCount(3) });
  assert.equal(steps.length, 2);
  assert.equal(steps[0].toolCalls[0].toolName, "lookUpPrice");
  assert.match(String(steps[0].toolResults[0].output), /USD$/);
  assert.ok(text);
});

test("a tool is called in a stream", async () => {
  const result = streamText({ ...asked, tools, toolChoice: "required" });
  const kinds = (await collected(result.fullStream)).map((part) => part.type);
  assert.ok(kinds.includes("tool-call") && kinds.includes("tool-result"));
});

test("a stream is aborted", async () => {
  const controller = new AbortController();
  const result = streamText({
    ...asked,
    model: openai.chat("slow"),
    abortSignal: controller.signal,
    onError: () => {},
  });
  const kinds = [];
  for await (const part of result.fullStream) {
    kinds.push(part.type);
    if (part.type === "text-delta") controller.abort();
  }
  assert.ok(kinds.includes("abort"));
});

test("a wrong key is an error with the status and our sentence", async () => {
  const stranger = createOpenAI({ apiKey: "sk-of-somebody-else" }).chat("sales-companion");
  await assert.rejects(generateText({ ...asked, model: stranger }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 401);
    assert.match(error.message, /turnout key create/);
    return true;
  });
});

test("an unknown model is an error with the status", async () => {
  await assert.rejects(generateText({ ...asked, model: openai.chat("gpt-9") }), (error) => error.statusCode === 404);
});

test("the Responses API answers, streams, and calls tools", async () => {
  const responses = { ...asked, model: openai("sales-companion"), providerOptions };
  assert.ok((await generateText(responses)).text);
  const result = streamText(responses);
  assert.equal((await collected(result.textStream)).join(""), await result.text);
  assert.ok((await result.usage).outputTokens > 0);
  const { steps } = await generateText({ ...responses, tools, stopWhen: isStepCount(3) });
  assert.equal(steps[0].toolCalls[0].toolName, "lookUpPrice");
  assert.ok(steps[1].text);
});

test("embed embeds", async () => {
  const { embedding } = await embed({ model: openai.embedding("sales-companion"), value: "one", maxRetries: 0 });
  assert.ok(embedding.length > 1);
});
