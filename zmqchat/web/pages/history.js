/**
 * Keeps one conversation complete by reading what is missing from the history.
 *
 * At most one reading forwards and one backwards at a time; answers for a conversation that is
 * closed meanwhile are dropped.
 *
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./protocol.js").Message} Message
 */

import { Reading } from "./reading.js";

export class History {
  #api;
  #conversation;
  #onPage;
  #closed = false;
  #readingOn = new Reading(() => this.#readToEnd());
  #readingBack = false;

  /**
   * @param {Api} api
   * @param {Conversation} conversation
   * @param {(messages: Message[]) => void} onPage called after each page that was merged
   */
  constructor(api, conversation, onPage) {
    this.#api = api;
    this.#conversation = conversation;
    this.#onPage = onPage;
  }

  /** The conversation is no longer shown. */
  close() {
    this.#closed = true;
    this.#readingOn.stop();
  }

  /** Read the newest page, or all that was missed since. */
  readOn() {
    return this.#readingOn.want();
  }

  /** Read the page before the oldest message. */
  async readBack() {
    const conversation = this.#conversation;
    const { oldest, loaded } = conversation;
    if (this.#readingBack || !loaded || !conversation.hasOlder) return;
    this.#readingBack = true;
    try {
      const page = await this.#api.history(conversation.name, { before: oldest });
      // After a reload of the newest page meanwhile, this one would leave a hole below it.
      if (this.#closed || conversation.oldest !== oldest) return;
      conversation.addOlder(page.messages, page.hasMore);
      this.#onPage(page.messages);
    } finally {
      this.#readingBack = false;
    }
  }

  async #readToEnd() {
    while (await this.#readPage());
  }

  /** @returns {Promise<boolean>} whether there is more to read */
  async #readPage() {
    const conversation = this.#conversation;
    const { loaded, newest, upTo } = conversation;
    const page = await this.#api.history(conversation.name, loaded ? { after: upTo } : {});
    if (this.#closed) return false;
    if (loaded) conversation.addMissed(page.messages, page.hasMore, newest);
    else conversation.addNewest(page.messages, page.hasMore, newest);
    this.#onPage(page.messages);
    return loaded && page.hasMore;
  }
}
