// Asks the page's own backend, shows the answer as it comes, and sends what the user thought of it.
// All that a model says is put into the page as text, never as HTML.

const scroller = document.querySelector("main");
const talk = document.querySelector("#talk");
const form = document.querySelector("#ask");
const question = document.querySelector("#question");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");
const state = document.querySelector("#state");

const messages = [];
let running = null;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = question.value.trim();
  if (!words || running) return;
  document.querySelector("#welcome")?.remove();
  const said = document.createElement("p");
  said.className = "question";
  said.textContent = words;
  talk.append(said);
  question.value = "";
  await ask(words);
});

stop.addEventListener("click", () => running?.abort());

async function ask(words) {
  messages.push({ role: "user", content: words });
  const answer = document.querySelector("#answer").content.firstElementChild.cloneNode(true);
  talk.append(answer);
  scroller.scrollTop = scroller.scrollHeight;
  busy(new AbortController());
  let text = "";
  let id = null;
  let trouble = "";
  try {
    for await (const chunk of chunks(await post("/chat", { messages }, running.signal))) {
      if (chunk.error) throw new Error(chunk.error.message);
      id = chunk.id;
      text += chunk.choices[0]?.delta?.content ?? "";
      following(() => (answer.querySelector(".text").textContent = text));
    }
  } catch (error) {
    trouble = error.name === "AbortError" ? "Stopped." : error.message;
  }
  if (text) messages.push({ role: "assistant", content: text });
  else answer.remove();
  if (!text) messages.pop();
  if (id && text) following(() => offerThumbs(answer, id));
  following(() => busy(null, trouble));
}

// Who reads at the end stays there, whatever the change adds; who has scrolled up is left where they are.
function following(change) {
  const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
  change();
  if (isAtEnd) scroller.scrollTop = scroller.scrollHeight;
}

function offerThumbs(answer, id) {
  const thumbs = answer.querySelector(".thumbs");
  const thanks = answer.querySelector(".thanks");
  thumbs.hidden = false;
  for (const button of thumbs.querySelectorAll("button")) {
    button.addEventListener("click", async () => {
      try {
        await post("/feedback", { response_id: id, thumb: button.dataset.thumb });
        for (const each of thumbs.querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
        thanks.textContent = "Thank you.";
      } catch (error) {
        thanks.textContent = `Not sent: ${error.message}`;
      }
    });
  }
}

async function post(path, body, signal) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error?.message ?? `The server answered ${answer.status}.`);
}

// A stream's events stand between blank lines; each is `data: ` and JSON, and the last is `data: [DONE]`.
async function* chunks(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ") && event !== "data: [DONE]") yield JSON.parse(event.slice(6));
    }
  }
}

function busy(controller, told = "") {
  running = controller;
  talk.setAttribute("aria-busy", controller !== null);
  send.disabled = controller !== null;
  stop.hidden = controller === null;
  state.textContent = controller ? "The answer is being written." : told;
  if (!controller) question.focus();
}
