/**
 * What a user wrote and no node has stored yet, kept over reloads and for all tabs of this browser.
 *
 * Each message is an entry of its own, so that tabs do not write over each other's. A browser may
 * deny storage, or have no room; then the page works without, and a reload forgets.
 *
 * @typedef {object} Kept
 * @property {string} clientId
 * @property {string} conversation
 * @property {string} sender
 * @property {string} receiver
 * @property {string} msg
 * @property {number} writtenAt milliseconds since 1970
 * @property {string} refusal why a node refused it for good, "" if none did
 */

const PREFIX = "zmqchat-unsent/";

export class Shelf {
  #prefix;

  /**
   * @param {string} user
   * @param {(clientId: string) => void} onTaken another tab has seen it stored, or deleted it
   */
  constructor(user, onTaken) {
    this.#prefix = `${PREFIX}${encodeURIComponent(user)}/`;
    addEventListener("storage", ({ key, newValue }) => {
      if (key?.startsWith(this.#prefix) && newValue === null) onTaken(this.#clientIdOf(key));
    });
  }

  /** @param {Kept} message */
  put({ clientId, conversation, sender, receiver, msg, writtenAt, refusal }) {
    const kept = { clientId, conversation, sender, receiver, msg, writtenAt, refusal };
    withStorage((storage) => storage.setItem(this.#prefix + clientId, JSON.stringify(kept)));
  }

  /** @param {string} clientId */
  take(clientId) {
    withStorage((storage) => storage.removeItem(this.#prefix + clientId));
  }

  /** @returns {Kept[]} in the order they were written */
  all() {
    /** @type {Kept[]} */
    const found = [];
    withStorage((storage) => {
      for (const key of Object.keys(storage)) {
        if (!key.startsWith(this.#prefix)) continue;
        const kept = parsed(storage.getItem(key) ?? "");
        if (kept?.clientId === this.#clientIdOf(key)) found.push(kept);
      }
    });
    return found.sort((left, right) => left.writtenAt - right.writtenAt);
  }

  /** @param {string} key */
  #clientIdOf(key) {
    return key.slice(this.#prefix.length);
  }
}

/** @param {(storage: Storage) => void} action */
function withStorage(action) {
  try {
    action(localStorage);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error; // denied or full
  }
}

/**
 * @param {string} text
 * @returns {Kept | null} null if another program left it there
 */
function parsed(text) {
  try {
    const kept = JSON.parse(text);
    const { clientId, conversation, sender, receiver, msg, refusal } = kept;
    const texts = [clientId, conversation, sender, receiver, msg, refusal];
    const whole = texts.every((field) => typeof field === "string");
    return whole && typeof kept.writtenAt === "number" ? kept : null;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return null;
  }
}
