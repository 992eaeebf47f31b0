/**
 * What a person wrote and no node has acknowledged: waits, is sent, is sent again.
 *
 * Everything is matched by client id, never by its text, so that the same message sent twice is
 * one message, from whichever tab and after however many reloads. `sending` and `waiting` ones are
 * sent again on the next connection, in order; `refused` ones wait for the person. All are on the
 * shelf until a node has stored them.
 *
 * @typedef {import("./protocol.js").Failure} Failure
 *
 * @typedef {object} Unsent
 * @property {string} clientId
 * @property {string} conversation
 * @property {string} sender
 * @property {string} receiver
 * @property {string} msg
 * @property {number} writtenAt milliseconds since 1970
 * @property {"waiting" | "sending" | "unanswered" | "refused"} state
 * @property {string} reason why it is unanswered or refused, in words
 * @property {number} failures in a row, on this connection
 * @property {number | undefined} timer of the answer
 */

import { retryDelayMs } from "./backoff.js";
import { KEY } from "./protocol.js";
import { Shelf } from "./shelf.js";

const ACK_DEADLINE_MS = 10_000;

export class UnsentMessages {
  /** @type {Map<string, Unsent>} */
  #byClientId = new Map();
  /** @type {Map<string, number>} by conversation: when those that wait are sent again, in order */
  #retries = new Map();
  #shelf;
  #send;
  #changed;
  #lastWrittenAt = 0;

  /**
   * @param {string} user
   * @param {(event: object) => boolean} send false if there is no connection
   * @param {() => void} changed
   */
  constructor(user, send, changed) {
    this.#send = send;
    this.#changed = changed;
    this.#shelf = new Shelf(user, (clientId) => this.#drop(clientId));
    this.#adopt();
  }

  /** @param {{conversation: string, sender: string, receiver: string, msg: string}} draft */
  add(draft) {
    const clientId = newClientId();
    // The order of what is written within a millisecond counts too.
    this.#lastWrittenAt = Math.max(Date.now(), this.#lastWrittenAt + 1);
    const unsent = this.#note({ ...draft, clientId, writtenAt: this.#lastWrittenAt, refusal: "" });
    this.#keep(unsent);
    if (this.#retries.has(draft.conversation)) this.#changed(); // it goes behind those that wait
    else this.#try(unsent);
  }

  /** There is a connection: send all that may be sent, in the order it was written. */
  connected() {
    this.#adopt(); // what a tab that was closed meanwhile has left
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
    for (const unsent of this.#inOrder()) {
      unsent.failures = 0;
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
    if (this.#byClientId.has(clientId)) this.#shelf.take(clientId);
    return this.#drop(clientId);
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
      unsent.failures += 1;
      this.#retryLater(unsent);
    } else {
      this.#enter(unsent, "refused", failure.msg);
      this.#keep(unsent);
    }
    return true;
  }

  /**
   * The person wants one sent again.
   * @param {string} clientId
   */
  retry(clientId) {
    const unsent = this.#byClientId.get(clientId);
    if (unsent === undefined) return;
    this.#try(unsent);
    this.#keep(unsent);
  }

  /**
   * @param {string} conversation
   * @returns {Unsent[]} in the order they were written
   */
  of(conversation) {
    return this.#inOrder().filter((one) => one.conversation === conversation);
  }

  #inOrder() {
    return [...this.#byClientId.values()].sort((left, right) => left.writtenAt - right.writtenAt);
  }

  /**
   * Send a message again after a while, and with it all that wait in its conversation: one that
   * went alone might overtake what was written before it.
   * @param {Unsent} unsent
   */
  #retryLater({ conversation, failures }) {
    if (this.#retries.has(conversation)) return;
    const timer = setTimeout(() => {
      this.#retries.delete(conversation);
      for (const one of this.of(conversation)) if (one.state === "waiting") this.#try(one);
    }, retryDelayMs(failures));
    this.#retries.set(conversation, timer);
  }

  /** Take over what is on the shelf, from before a reload or from another tab. */
  #adopt() {
    for (const kept of this.#shelf.all()) {
      if (!this.#byClientId.has(kept.clientId)) this.#note(kept);
    }
    this.#changed();
  }

  /**
   * @param {import("./shelf.js").Kept} kept
   * @returns {Unsent}
   */
  #note({ refusal, ...message }) {
    /** @type {Unsent} */
    const unsent = {
      ...message,
      state: refusal ? "refused" : "waiting",
      reason: refusal,
      failures: 0,
      timer: undefined,
    };
    this.#byClientId.set(unsent.clientId, unsent);
    return unsent;
  }

  /** @param {Unsent} unsent */
  #keep(unsent) {
    this.#shelf.put({ ...unsent, refusal: unsent.state === "refused" ? unsent.reason : "" });
  }

  /**
   * @param {string} clientId
   * @returns {Unsent | undefined}
   */
  #drop(clientId) {
    const unsent = this.#byClientId.get(clientId);
    if (unsent === undefined) return undefined;
    clearTimeout(unsent.timer);
    this.#byClientId.delete(clientId);
    this.#changed();
    return unsent;
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
