/**
 * The customer's page: asks for a name, then chats with the desk.
 */

import { Refused, Unreachable } from "./api.js";
import { byId } from "./dom.js";
import { watchComposition } from "./ime.js";
import { api, desk, startSession } from "./session.js";
import { recall, remember } from "./storage.js";

const NAME = "zmqchat-name";

const form = byId("sign-in", HTMLFormElement);
const field = byId("name", HTMLInputElement);
const problem = byId("name-problem", HTMLElement);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = field.value.normalize("NFC").trim();
  problem.textContent = await refusal(name);
  if (form.hidden) return; // Enter was pressed twice, and the first one is in
  if (problem.textContent === "") enter(name);
  else field.focus();
});

// Enter in a form's field submits it, also where it only picks a candidate.
const isComposing = watchComposition(field);
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && isComposing(event)) event.preventDefault();
});

byId("leave", HTMLButtonElement).addEventListener("click", () => {
  remember(NAME, "");
  location.reload();
});

const known = recall(NAME);
if (known) enter(known);
else ask();

function ask() {
  form.hidden = false;
  field.focus();
}

/**
 * @param {string} name
 * @returns {Promise<string>} why nobody can chat under this name, "" if one can
 */
async function refusal(name) {
  if (name === "") return "Please enter a name.";
  if (name === desk) return "This name is the desk's own; please choose another.";
  try {
    await api.socketAddress(name);
  } catch (error) {
    if (error instanceof Refused) return error.message;
    if (!(error instanceof Unreachable)) throw error;
  }
  return ""; // where no node answers now, the page goes on trying
}

/** @param {string} name */
function enter(name) {
  remember(NAME, name);
  form.hidden = true;
  byId("who", HTMLElement).textContent = name;
  byId("chat", HTMLElement).hidden = false;
  const { chat } = startSession(name);
  chat.open(name);
  chat.composer.focus();
}
