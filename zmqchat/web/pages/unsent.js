/**
 * What a person wrote and no node has acknowledged: waits, is sent, is sent again.
 *
 * Everything is matched by client id, never by its text, so that the same message sent twice is
 * one message. `sending` and `waiting` ones are sent again on the next connection, in order;
 * `refused` ones wait for the person.
 *
 * @typedef {import("./protocol.js").Failure} Failure
 *
 * @typedef {object} Unsent
 * @property {string} clientId
 * @property {string} conversation
 * @property {string} sender
 * @property {string} receiver
 * @property {string} msg
 * @property {"waiting" | "sending" | "unanswered" | "refused"} state
 * @property {string} reason why it is unanswered or refused, in words
 * @property {number | undefined} timer
 */

import { KEY } from "./protocol.js";

const ACK_DEADLINE_MS = 10_000;
const BUSY_PAUSE_MS = 1000;

export class UnsentMessages {
  /** @type {Map<string, Unsent>} */
  #byClientId = new Map();
  #send;
  #changed;

  /**
   * @param {(event: object) => boolean} send false if there is no connection
   * @param {() => void} changed
   */
  constructor(send, changed) {
    this.#send = send;
    this.#changed = changed;
  }

  /** @param {{conversation: string, sender: string, receiver: string, msg: string}} draft */
  add(draft) {
    const clientId = newClientId();
    /** @type {Unsent} */
    const unsent = { ...draft, clientId, state: "waiting", reason: "", timer: undefined };
    this.#byClientId.set(clientId, unsent);
    this.#try(unsent);
  }

  /** There is a connection: send all that may be sent, in the order it was written. */
  connected() {
    for (const unsent of this.#byClientId.values()) {
      if (unsent.state !== "refused") this.#try(unsent);
    }
  }

  /** The connection went: nothing that is under way will be answered. */
  disconnected() {
    for (const unsent of this.#byClientId.values()) {
      if (unsent.state !== "refused") this.#enter(unsent, "waiting");
    }
  }

  /**
   * Forget a message that is stored now, or that the person gives up.
   * @param {string} clientId
   * @returns {Unsent | undefined} undefined if it was not one of ours
   */
  remove(clientId) {
    const unsent = this.#byClientId.get(clientId);
    if (unsent === undefined) return undefined;
    clearTimeout(unsent.timer);
    this.#byClientId.delete(clientId);
    this.#changed();
    return unsent;
  }

  /**
   * A node answered ERROR.
   * @param {Failure} failure
   * @returns {boolean} whether it was about one of these messages
   */
  failed(failure) {
    const unsent = this.#byClientId.get(failure.clientId ?? "");
    if (unsent === undefined) return false;
    if (failure.retryable) {
      this.#enter(unsent, "waiting");
      unsent.timer = setTimeout(() => this.#try(unsent), BUSY_PAUSE_MS * (1 + Math.random()));
    } else {
      this.#enter(unsent, "refused", failure.msg);
    }
    return true;
  }

  /**
   * The person wants one sent again.
   * @param {string} clientId
   */
  retry(clientId) {
    const unsent = this.#byClientId.get(clientId);
    if (unsent !== undefined) this.#try(unsent);
  }

  /**
   * @param {string} conversation
   * @returns {Unsent[]} in the order they were written
   */
  of(conversation) {
    return [...this.#byClientId.values()].filter((one) => one.conversation === conversation);
  }

  /** @param {Unsent} unsent */
  #try(unsent) {
    const { msg, sender, receiver, clientId } = unsent;
    const sent = this.#send({ key: KEY.MESSAGE, data: { msg, sender, receiver, clientId } });
    this.#enter(unsent, sent ? "sending" : "waiting");
    if (!sent) return;
    unsent.timer = setTimeout(
      () => this.#enter(unsent, "unanswered", "no answer yet"),
      ACK_DEADLINE_MS,
    );
  }

  /**
   * @param {Unsent} unsent
   * @param {Unsent["state"]} state
   * @param {string} [reason]
   */
  #enter(unsent, state, reason = "") {
    clearTimeout(unsent.timer);
    Object.assign(unsent, { state, reason });
    this.#changed();
  }
}

/** 32 hex digits. (`crypto.randomUUID` is missing where a page came over plain HTTP.) */
function newClientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
