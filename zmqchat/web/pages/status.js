/**
 * Says in words how the connection is, and what went wrong.
 *
 * @typedef {import("./connection.js").State} State
 */

import { setText } from "./dom.js";

/** @type {{[Name in State["name"]]: (state: any) => string}} */
const WORDS = {
  connecting: () => "Connecting…",
  online: ({ node }) => `Connected to ${node}`,
  waiting: ({ delayMs }) => `Connection lost; next attempt in ${Math.ceil(delayMs / 1000)} s`,
  closed: ({ reason }) => (reason ? `Disconnected: ${reason}` : "Disconnected"),
};

export class StatusLine {
  #line;
  #again;
  #problem;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.line says how the connection is
   * @param {HTMLButtonElement} parts.again connects again, where the page does not by itself
   * @param {HTMLElement} parts.problem says what went wrong
   * @param {() => void} parts.onAgain
   */
  constructor({ line, again, problem, onAgain }) {
    this.#line = line;
    this.#again = again;
    this.#problem = problem;
    again.addEventListener("click", onAgain);
  }

  /** @param {State} state */
  show(state) {
    this.#line.dataset.state = state.name;
    this.#again.hidden = state.name !== "closed";
    if (state.name === "closed") setText(this.#again, state.again);
    setText(this.#line, WORDS[state.name](state));
    if (state.name === "online") this.complain("");
  }

  /** @param {string} text "" for nothing to complain about */
  complain(text) {
    setText(this.#problem, text);
  }
}
