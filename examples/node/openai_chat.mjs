// One question, a streamed one, and a thumb, with the official client for Node.js.
// Needs `npm install openai`, and OPENAI_BASE_URL and OPENAI_API_KEY in the environment.

import OpenAI from "openai";

const client = new OpenAI();

const { data: answer, response } = await client.chat.completions
  .create({
    model: "sales-companion",
    messages: [{ role: "user", content: "Which plan fits five people?" }],
    safety_identifier: "alice",
  })
  .withResponse();
console.log(`${answer.model}: ${answer.choices[0].message.content}`);
console.log(`arm: ${response.headers.get("x-turnout-arm")}`);

const stream = await client.chat.completions.create({
  model: "sales-companion",
  messages: [{ role: "user", content: "Write a reminder for an unpaid invoice." }],
  safety_identifier: "alice",
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
console.log();

await client.post("/feedback", { body: { response_id: answer.id, thumb: "up" } });
console.log("feedback: sent");
