/**
 * The stored messages of one conversation that this page has, merged by seq.
 *
 * Knows nothing of networks or of the screen. Invariant: from the oldest message here up to
 * `upTo` none is missing, once `loaded`; `incomplete` tells that later ones arrived over a hole.
 *
 * @typedef {import("./protocol.js").Message} Message
 */

export class Conversation {
  name;
  upTo = 0;
  loaded = false; // whether a page of history was merged
  hasOlder = false;
  /** @type {Map<number, Message>} */
  #bySeq = new Map();
  /** @type {Message[] | null} */
  #sorted = null;

  /** @param {string} name the customer's */
  constructor(name) {
    this.name = name;
  }

  /**
   * Merge a live message; the same seq again changes nothing but its fields.
   * @param {Message} message
   */
  add(message) {
    this.#put([message]);
    this.#advance();
  }

  /**
   * A node has sent everything up to here: what is not here does not exist.
   * @param {number} upTo
   */
  resumed(upTo) {
    this.upTo = Math.max(this.upTo, upTo);
    this.#advance();
  }

  /** Too much is missing: what is here stays until the newest page replaces it. */
  loadAnew() {
    this.loaded = false;
    this.upTo = 0;
  }

  /**
   * Merge the newest page of history; what is older may be beyond a hole, and goes.
   * @param {Message[]} page
   * @param {boolean} hasOlder
   * @param {number} seen the newest seq here before the page was asked for
   */
  addNewest(page, hasOlder, seen) {
    this.hasOlder = hasOlder;
    this.loaded = true;
    const oldest = page[0]?.seq ?? seen + 1;
    for (const seq of this.#bySeq.keys()) if (seq < oldest) this.#bySeq.delete(seq);
    this.#put(page);
    this.#settle(page, seen);
  }

  /**
   * Merge the page of history after `upTo`. When nothing follows it, its answer is final: what it
   * does not contain, up to what was seen before asking, does not exist.
   * @param {Message[]} page
   * @param {boolean} hasNewer
   * @param {number} seen the newest seq here before the page was asked for
   */
  addMissed(page, hasNewer, seen) {
    this.#put(page);
    this.#settle(page, hasNewer ? 0 : seen);
  }

  /**
   * Merge the page of history before `oldest`.
   * @param {Message[]} page
   * @param {boolean} hasOlder
   */
  addOlder(page, hasOlder) {
    this.hasOlder = hasOlder;
    this.#put(page);
  }

  /** Whether a message arrived over a hole. */
  get incomplete() {
    return this.newest > this.upTo;
  }

  get oldest() {
    return this.messages[0]?.seq ?? 0;
  }

  get newest() {
    return this.messages[this.messages.length - 1]?.seq ?? 0;
  }

  /** @returns {Message[]} in order */
  get messages() {
    this.#sorted ??= [...this.#bySeq.values()].sort((left, right) => left.seq - right.seq);
    return this.#sorted;
  }

  /** @param {Message[]} messages */
  #put(messages) {
    for (const message of messages) this.#bySeq.set(message.seq, message);
    this.#sorted = null;
  }

  /**
   * @param {Message[]} page
   * @param {number} final
   */
  #settle(page, final) {
    this.upTo = Math.max(this.upTo, final, page[page.length - 1]?.seq ?? 0);
    this.#advance();
  }

  #advance() {
    if (!this.loaded) return; // what follows seq 0 may be anywhere in the history
    while (this.#bySeq.has(this.upTo + 1)) this.upTo += 1;
  }
}
