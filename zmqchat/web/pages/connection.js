/**
 * One WebSocket to some live node: finds an address, watches for signs of life, and moves on.
 *
 * Knows WELCOME and PING only; all events go to `onEvent`. Never has two sockets, and never more
 * than one timer: each step replaces the timer of the step before. By what WELCOME calls `continue`
 * a node tells a page that comes back from somebody who logs in elsewhere; it is kept in memory only.
 *
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./nodes.js").NodeList} NodeList
 *
 * @typedef {{name: "connecting"}
 *   | {name: "online", node: string}
 *   | {name: "waiting", delayMs: number}
 *   | {name: "closed", reason: string, again: string}} State
 */

import { Refused, Unreachable } from "./api.js";
import { retryDelayMs } from "./backoff.js";
import {
  KEY,
  PROOF_PREFIX,
  SUBPROTOCOL,
  againWords,
  closeWords,
  mayReconnect,
} from "./protocol.js";

const WELCOME_DEADLINE_MS = 5000;
const ANSWER_DEADLINE_MS = 5000;
const STEADY_MS = 5000; // a connection that lasted so long was a good one

export class Connection {
  #user;
  #api;
  #nodes;
  #onEvent;
  #onState;
  /** @type {State} */
  #state = { name: "closed", reason: "", again: againWords(0) };
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {number | undefined} */
  #timer;
  #attempt = 0; // which attempt is the present one; answers to older ones are ignored
  #failures = 0;
  #onlineSince = 0;
  #awaitsAnswer = false;
  #pingIntervalMs = 0;
  #draining = false; // told to go, and waiting for our turn
  /** @type {string | null} */
  #continue = null; // proves that the next connection goes on with the last one's login

  /**
   * @param {object} parts
   * @param {string} parts.user
   * @param {Api} parts.api
   * @param {NodeList} parts.nodes
   * @param {(event: any) => void} parts.onEvent
   * @param {(state: State) => void} parts.onState
   */
  constructor({ user, api, nodes, onEvent, onState }) {
    this.#user = user;
    this.#api = api;
    this.#nodes = nodes;
    this.#onEvent = onEvent;
    this.#onState = onState;
  }

  /** Connect, and stay connected until `stop` or until a node closes for good. */
  start() {
    this.#failures = 0;
    this.#connect();
  }

  /**
   * Disconnect and stay away; whoever starts again logs in anew.
   * @param {string} reason in words
   * @param {string} again what starting again means, in words
   */
  stop(reason, again = againWords(0)) {
    this.#leave();
    this.#continue = null;
    this.#enter({ name: "closed", reason, again });
  }

  /** The page or the network woke up: try now instead of waiting, or see whether the node lives. */
  nudge() {
    if (this.#state.name === "waiting" || this.#draining) this.#connect();
    else if (this.#state.name === "online" && !this.#awaitsAnswer) this.#ping();
  }

  /**
   * @param {object} event
   * @returns {boolean} false if there is no connection to send it on
   */
  send(event) {
    if (this.#state.name !== "online" || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(event));
    return true;
  }

  async #connect() {
    this.#leave();
    const attempt = this.#attempt;
    this.#enter({ name: "connecting" });
    try {
      const address = await this.#api.socketAddress(this.#user);
      if (attempt === this.#attempt) this.#open(address);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof Refused) this.stop(error.message);
      else if (error instanceof Unreachable) this.#retry();
      else throw error;
    }
  }

  /** @param {string} address */
  #open(address) {
    const proof = this.#continue === null ? [] : [PROOF_PREFIX + this.#continue];
    const socket = new WebSocket(address, [SUBPROTOCOL, ...proof]);
    socket.onmessage = (message) => this.#received(JSON.parse(message.data));
    socket.onclose = (close) => this.#closed(close.code, close.reason);
    this.#socket = socket;
    this.#later(() => this.#retry(), WELCOME_DEADLINE_MS);
  }

  /** @param {any} event */
  #received(event) {
    if (event.key === KEY.DRAIN) return this.#drained(event.data);
    if (event.key === KEY.WELCOME) this.#welcomed(event.data);
    if (this.#awaitsAnswer) this.#pingLater(); // whatever came is a sign of life
    if (event.key !== KEY.PING) this.#onEvent(event);
  }

  /** @param {import("./protocol.js").Welcome} welcome */
  #welcomed(welcome) {
    this.#nodes.learn(welcome.nodes);
    this.#continue = welcome.continue;
    this.#onlineSince = Date.now();
    this.#pingIntervalMs = welcome.pingIntervalMs;
    this.#pingLater();
    this.#enter({ name: "online", node: welcome.node });
  }

  /**
   * The node leaves: move to the one it names, when our turn has come.
   * @param {{url: string, afterMs: number}} drain
   */
  #drained({ url, afterMs }) {
    if (this.#socket) this.#nodes.failed(httpOrigin(this.#socket.url));
    this.#nodes.learn([url]);
    this.#awaitsAnswer = false;
    this.#draining = true;
    this.#later(() => this.#connect(), afterMs);
  }

  #pingLater() {
    this.#awaitsAnswer = false;
    this.#later(() => this.#ping(), this.#pingIntervalMs);
  }

  #ping() {
    this.#awaitsAnswer = true;
    this.send({ key: KEY.PING, data: {} });
    this.#later(() => this.#unanswered(), ANSWER_DEADLINE_MS);
  }

  #unanswered() {
    if (this.#socket) this.#nodes.failed(httpOrigin(this.#socket.url));
    this.#retry();
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    if (mayReconnect(code)) this.#retry();
    else this.stop(closeWords(code, reason), againWords(code));
  }

  #retry() {
    const lasted = this.#state.name === "online" && Date.now() - this.#onlineSince >= STEADY_MS;
    if (lasted) this.#failures = 0;
    this.#leave();
    const delayMs = retryDelayMs(this.#failures);
    this.#failures += 1;
    this.#enter({ name: "waiting", delayMs });
    this.#later(() => this.#connect(), delayMs);
  }

  /** Drop the socket, the timer, and the answer that may still be under way. */
  #leave() {
    this.#attempt += 1;
    this.#draining = false;
    this.#awaitsAnswer = false;
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  /**
   * @param {() => void} step
   * @param {number} delayMs
   */
  #later(step, delayMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(step, delayMs);
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    this.#onState(state);
  }
}

/** @param {string} address ws:// or wss:// */
function httpOrigin(address) {
  return new URL(address.replace(/^ws/, "http")).origin;
}
