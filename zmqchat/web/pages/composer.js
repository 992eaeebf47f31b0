/**
 * The box in which a message is written: Enter sends, Shift+Enter makes a new line.
 *
 * The text leaves the box only when the page took it. Until then it is a draft.
 */

import { watchComposition } from "./ime.js";
import { MAX_MESSAGE_BYTES } from "./protocol.js";

export class Composer {
  #form;
  #field;
  #problem;
  #onSend;
  #onDraft;

  /**
   * @param {object} parts
   * @param {HTMLFormElement} parts.form
   * @param {HTMLTextAreaElement} parts.field
   * @param {HTMLElement} parts.problem where a text that is too long is complained about
   * @param {(text: string) => void} parts.onSend
   * @param {(text: string) => void} parts.onDraft what stands in the box has changed
   */
  constructor({ form, field, problem, onSend, onDraft }) {
    this.#form = form;
    this.#field = field;
    this.#problem = problem;
    this.#onSend = onSend;
    this.#onDraft = onDraft;
    field.addEventListener("input", () => onDraft(this.text));
    const isComposing = watchComposition(field);
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
      event.preventDefault();
      this.#send();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
      field.focus();
    });
  }

  /** What stands in the box. */
  get text() {
    return this.#field.value;
  }

  set text(text) {
    this.#field.value = text;
    this.#problem.textContent = "";
  }

  /** @param {boolean} shown */
  show(shown) {
    this.#form.hidden = !shown;
  }

  focus() {
    this.#field.focus();
  }

  #send() {
    const text = wellFormed(this.text).trimEnd();
    if (text.trim() === "") return;
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > MAX_MESSAGE_BYTES) {
      this.#problem.textContent =
        `This text has ${bytes} bytes; at most ${MAX_MESSAGE_BYTES} can be sent at once.`;
      return;
    }
    this.#onSend(text);
    this.text = "";
    this.#onDraft("");
  }
}

/**
 * Replace halves of characters, which are not text and no node accepts.
 * @param {string} text
 */
function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
