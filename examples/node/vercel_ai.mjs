// A text, a stream, an object and a tool call with the Vercel AI SDK.
// Needs `npm install ai @ai-sdk/openai zod`, and OPENAI_BASE_URL and OPENAI_API_KEY in the environment.

import { openai } from "@ai-sdk/openai";
import { generateText, Output, streamText, tool } from "ai";
import { z } from "zod";

const model = openai.chat("sales-companion");
const providerOptions = { openai: { safetyIdentifier: "alice" } };

const { text, response } = await generateText({ model, providerOptions, prompt: "Which plan fits five people?" });
console.log(`${response.modelId}: ${text}`);
console.log(`arm: ${response.headers["x-turnout-arm"]}`);

const { textStream } = streamText({ model, providerOptions, prompt: "Write a reminder for an unpaid invoice." });
for await (const piece of textStream) {
  process.stdout.write(piece);
}
console.log();

const { output } = await generateText({
  model,
  providerOptions,
  output: Output.object({ schema: z.object({ plan: z.string(), seats: z.number().int() }) }),
  prompt: "Pro for five people, as an order.",
});
console.log(`order: ${JSON.stringify(output)}`);

const { toolCalls } = await generateText({
  model,
  providerOptions,
  tools: {
    lookUpPrice: tool({
      description: "Find what a plan costs a month.",
      inputSchema: z.object({ plan: z.string(), seats: z.number().int() }),
    }),
  },
  toolChoice: "required",
  prompt: "What does Pro cost for five people?",
});
for (const call of toolCalls) {
  console.log(`tool: ${call.toolName}(${Object.keys(call.input).join(", ")})`);
}
