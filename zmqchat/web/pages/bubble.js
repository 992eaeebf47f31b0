/**
 * How one message looks: a list item with its author, text, time, and what became of it.
 *
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./unsent.js").Unsent} Unsent
 *
 * @typedef {object} Entry What the thread shows, stored or not.
 * @property {string} key
 * @property {string} author
 * @property {boolean} own whether it was written on this side of the conversation
 * @property {string} text
 * @property {string | null} time ISO 8601, null while it is not stored
 * @property {Unsent["state"] | "stored"} state
 * @property {string} note what became of it, in words
 * @property {string} clientId "" when it is stored
 */

import { make, setText } from "./dom.js";

/** @type {Readonly<Record<Unsent["state"], (reason: string) => string>>} */
const NOTES = Object.freeze({
  waiting: () => "Waiting…",
  sending: () => "Sending…",
  unanswered: (reason) => `Not sent: ${reason}`,
  refused: (reason) => `Not sent: ${reason}`,
});

/**
 * @param {Message} message
 * @param {string} user whose page this is
 * @returns {Entry}
 */
export function storedEntry(message, user) {
  return {
    key: String(message.seq),
    author: message.agent ?? message.sender,
    own: message.sender === user,
    text: message.msg,
    time: message.createTime,
    state: "stored",
    note: "",
    clientId: "",
  };
}

/**
 * @param {Unsent} unsent
 * @returns {Entry}
 */
export function unsentEntry(unsent) {
  return {
    key: unsent.clientId,
    author: unsent.sender,
    own: true,
    text: unsent.msg,
    time: null,
    state: unsent.state,
    note: NOTES[unsent.state](unsent.reason),
    clientId: unsent.clientId,
  };
}

/** @param {Entry} entry */
export function makeBubble(entry) {
  const text = make("p", "text", entry.text);
  text.dir = "auto";
  const foot = make(
    "p",
    "foot",
    make("bdi", "author"),
    make("time"),
    make("span", "note"),
    action("retry", "Try again"),
    action("discard", "Delete"),
  );
  return make("li", "message", text, foot);
}

/**
 * Bring a bubble up to date.
 * @param {HTMLElement} bubble
 * @param {Entry} entry
 */
export function updateBubble(bubble, entry) {
  bubble.dataset.state = entry.state;
  bubble.dataset.clientId = entry.clientId;
  bubble.classList.toggle("own", entry.own);
  setText(part(bubble, ".author"), entry.author);
  setText(part(bubble, ".note"), entry.note);
  showTime(/** @type {HTMLTimeElement} */ (part(bubble, "time")), entry.time);
  const failed = entry.state === "unanswered" || entry.state === "refused";
  for (const button of bubble.querySelectorAll("button")) button.hidden = !failed;
}

/**
 * @param {string} name
 * @param {string} label
 */
function action(name, label) {
  const button = make("button", "quiet", label);
  button.type = "button";
  button.dataset.action = name;
  button.hidden = true;
  return button;
}

/**
 * @param {HTMLTimeElement} element
 * @param {string | null} time
 */
function showTime(element, time) {
  if (time === null || element.dateTime === time) return;
  const moment = new Date(time);
  element.dateTime = time;
  element.title = moment.toLocaleString();
  setText(element, isToday(moment) ? timeOfDay.format(moment) : dayAndTime.format(moment));
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {Date} moment */
function isToday(moment) {
  return moment.toDateString() === new Date().toDateString();
}

/**
 * @param {HTMLElement} bubble
 * @param {string} selector
 * @returns {HTMLElement}
 */
function part(bubble, selector) {
  return /** @type {HTMLElement} */ (bubble.querySelector(selector));
}
