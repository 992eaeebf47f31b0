/**
 * Everybody who ever wrote, and how far the desk has read: watermarks only.
 *
 * Knows nothing of who is online. Numbers are merged by max, so a list that was read before an
 * event and arrives after it does no harm, and two desks come to the same dots.
 *
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Head} Head
 * @typedef {import("./protocol.js").ChangedHead} ChangedHead
 *
 * @typedef {object} Marks
 * @property {number} lastSeq
 * @property {number} deskReadSeq
 * @property {string} lastTime ISO 8601
 */

export class Roster {
  /** @type {Map<string, Marks>} */
  #marks = new Map();

  /** @param {Head} head */
  merge({ conversation, lastSeq, deskReadSeq, lastMessage, updatedAt }) {
    const lastTime = lastMessage?.createTime ?? updatedAt;
    this.#raise(conversation, { lastSeq, deskReadSeq, lastTime });
  }

  /** @param {ChangedHead} head */
  changed({ conversation, seq, deskRead, updatedAt }) {
    this.#raise(conversation, { lastSeq: seq, deskReadSeq: deskRead, lastTime: updatedAt });
  }

  /** @param {Message} message */
  written({ conversation, seq, createTime }) {
    this.#raise(conversation, { lastSeq: seq, lastTime: createTime });
  }

  /**
   * @param {string} conversation
   * @param {number} seq
   */
  readByDesk(conversation, seq) {
    if (this.#marks.has(conversation)) this.#raise(conversation, { deskReadSeq: seq });
  }

  /** @param {string} name */
  isUnread(name) {
    const marks = this.#marks.get(name);
    return marks !== undefined && marks.lastSeq > marks.deskReadSeq;
  }

  get unreadCount() {
    return [...this.#marks.keys()].filter((name) => this.isUnread(name)).length;
  }

  /** @returns {string[]} whoever wrote or was written to last first */
  get names() {
    const entries = [...this.#marks];
    entries.sort(([, left], [, right]) => compare(right.lastTime, left.lastTime));
    return entries.map(([name]) => name);
  }

  /**
   * @param {string} name
   * @param {Partial<Marks>} marks
   */
  #raise(name, { lastSeq = 0, deskReadSeq = 0, lastTime = "" }) {
    const known = this.#marks.get(name) ?? { lastSeq: 0, deskReadSeq: 0, lastTime: "" };
    this.#marks.set(name, {
      lastSeq: Math.max(known.lastSeq, lastSeq),
      deskReadSeq: Math.max(known.deskReadSeq, deskReadSeq),
      lastTime: known.lastTime > lastTime ? known.lastTime : lastTime,
    });
  }
}

/**
 * @param {string} left
 * @param {string} right
 */
function compare(left, right) {
  return left < right ? -1 : Number(left > right);
}
