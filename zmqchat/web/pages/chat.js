/**
 * The conversation that is open on the page: what is stored in it, what is still unsent, what has
 * been read. The customer's page has one; the desk's changes it with each selection.
 *
 * Starts listening before it reads the history, and merges both by seq. After each reconnect the
 * node is asked for what was missed; what it cannot send is read from the history. Unsent messages
 * of other conversations stay and are sent all the same.
 *
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Ack} Ack
 * @typedef {import("./protocol.js").Failure} Failure
 * @typedef {import("./protocol.js").Resumed} Resumed
 */

import { Refused, Unreachable } from "./api.js";
import { Asking } from "./asking.js";
import { storedEntry, unsentEntry } from "./bubble.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { byId, gathered } from "./dom.js";
import { History } from "./history.js";
import { KEY } from "./protocol.js";
import { recall, remember } from "./storage.js";
import { Thread } from "./thread.js";
import { UnsentMessages } from "./unsent.js";

export class Chat {
  #user;
  #desk;
  #api;
  #send;
  #onProblem;
  #onRead;
  #unsent;
  #resuming;
  #thread;
  /** @type {Composer} */
  composer;
  /** @type {Conversation | null} */
  #conversation = null;
  /** @type {History | null} */
  #history = null;
  #readUpTo = 0; // what the node was told is read of the open conversation
  #render = gathered(() => this.#show());

  /**
   * @param {object} parts
   * @param {string} parts.user whose page this is
   * @param {string} parts.desk the desk's account
   * @param {Api} parts.api
   * @param {(event: object) => boolean} parts.send
   * @param {(text: string) => void} parts.onProblem
   * @param {(conversation: string, seq: number) => void} [parts.onRead] this page read so far
   */
  constructor({ user, desk, api, send, onProblem, onRead = () => {} }) {
    this.#user = user;
    this.#desk = desk;
    this.#api = api;
    this.#send = send;
    this.#onProblem = onProblem;
    this.#onRead = onRead;
    this.#unsent = new UnsentMessages(user, send, this.#render);
    this.#resuming = new Asking(send, () => this.#readOn());
    this.#thread = new Thread({
      log: byId("log", HTMLElement),
      newest: byId("newest", HTMLButtonElement),
      onRead: () => this.#markRead(),
      onOlder: () => this.#reading(this.#history?.readBack()),
      onRetry: (clientId) => this.#unsent.retry(clientId),
      onDiscard: (clientId) => this.#unsent.remove(clientId),
    });
    this.composer = new Composer({
      form: byId("composer", HTMLFormElement),
      field: byId("text", HTMLTextAreaElement),
      problem: byId("text-problem", HTMLElement),
      onSend: (text) => this.#write(text),
      onDraft: (text) => remember(this.#draftKey, text),
    });
    document.addEventListener("visibilitychange", () => this.#markRead());
  }

  /** @returns {string | null} the conversation that is open */
  get name() {
    return this.#conversation?.name ?? null;
  }

  /**
   * Show another conversation.
   * @param {string} name
   */
  open(name) {
    this.#history?.close();
    this.#resuming.stop();
    const conversation = new Conversation(name);
    this.#conversation = conversation;
    this.#history = new History(this.#api, conversation, (page) => this.#onPage(page));
    this.#readUpTo = 0;
    this.#thread.clear();
    this.composer.text = recall(this.#draftKey);
    this.#readOn();
    this.#render();
  }

  /** There is a connection: send what waits, and ask for what was missed. */
  connected() {
    this.#readUpTo = 0; // whether the last mark arrived is not known
    this.#unsent.connected();
    if (!this.#resume()) this.#readOn();
  }

  disconnected() {
    this.#resuming.stop();
    this.#unsent.disconnected();
  }

  /** @param {Resumed} resumed */
  onResumed({ conversation, upTo, complete }) {
    if (!this.#resuming.waits || conversation !== this.#conversation?.name) return;
    this.#resuming.stop();
    if (complete) this.#conversation.resumed(upTo);
    else this.#conversation.loadAnew();
    if (!complete || this.#conversation.incomplete) this.#readOn();
    this.#render();
  }

  /** @param {Message} message */
  onMessage(message) {
    this.#resuming.heard();
    this.#settleOwn(message);
    this.#merge(message);
  }

  /** @param {Ack} ack */
  onAck({ clientId, id, seq, createTime }) {
    const unsent = this.#settle(clientId, seq);
    if (unsent === undefined) return;
    const { conversation, sender, receiver, msg } = unsent;
    const rest = { agent: null, kind: "text" };
    this.#merge({ id, seq, conversation, sender, receiver, msg, createTime, clientId, ...rest });
  }

  /** @param {Failure} failure */
  onError(failure) {
    if (!this.#unsent.failed(failure)) this.#onProblem(failure.msg);
  }

  /** @param {Message[]} messages read from the history, and merged */
  #onPage(messages) {
    for (const message of messages) this.#settleOwn(message);
    this.#render();
  }

  /** @param {Message} message */
  #merge(message) {
    if (message.conversation !== this.#conversation?.name) return;
    this.#conversation.add(message);
    const { loaded, incomplete } = this.#conversation;
    if (loaded && incomplete && !this.#resuming.waits) this.#readOn();
    this.#render();
  }

  /**
   * What is seen stored need not be acknowledged: the acknowledgement may have been lost.
   * @param {Message} message
   */
  #settleOwn({ sender, clientId, seq }) {
    if (sender === this.#user && clientId !== null) this.#settle(clientId, seq);
  }

  /**
   * @param {string} clientId
   * @param {number} seq
   */
  #settle(clientId, seq) {
    const unsent = this.#unsent.remove(clientId);
    if (unsent?.conversation === this.name) this.#thread.stored(clientId, seq);
    return unsent;
  }

  /** @param {string} msg */
  #write(msg) {
    if (this.name === null) return;
    const receiver = this.#user === this.#desk ? this.name : this.#desk;
    this.#thread.toEnd();
    this.#unsent.add({ conversation: this.name, sender: this.#user, receiver, msg });
  }

  /** @returns {boolean} whether a node was asked */
  #resume() {
    const { name, loaded, upTo } = this.#conversation ?? {};
    if (!name || !loaded) return false;
    return this.#resuming.ask({ key: KEY.RESUME, data: { conversation: name, after: upTo } });
  }

  /** Where the draft of the open conversation is remembered. */
  get #draftKey() {
    return `zmqchat-draft ${JSON.stringify([this.#user, this.name])}`;
  }

  #readOn() {
    this.#reading(this.#history?.readOn());
  }

  /** @param {Promise<void> | undefined} reading */
  async #reading(reading) {
    try {
      await reading;
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      this.#onProblem(`The history could not be read: ${error.message}`);
      this.#render();
    }
  }

  #show() {
    if (this.#conversation === null) return;
    const stored = this.#conversation.messages.map((message) => storedEntry(message, this.#user));
    const unsent = this.#unsent.of(this.#conversation.name).map(unsentEntry);
    this.#thread.show([...stored, ...unsent], this.#conversation);
    this.#markRead();
  }

  /** Tell the node what is read: only what a person can have seen. */
  #markRead() {
    const { name, loaded, upTo } = this.#conversation ?? {};
    if (!name || !loaded || !upTo || upTo <= this.#readUpTo) return;
    if (document.visibilityState !== "visible" || !this.#thread.atEnd) return;
    if (!this.#send({ key: KEY.READ, data: { conversation: name, seq: upTo } })) return;
    this.#readUpTo = upTo;
    this.#onRead(name, upTo);
  }
}
