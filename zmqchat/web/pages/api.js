/**
 * REST, asked of any node that answers.
 *
 * `Refused`: a node understood and said no; every other node would say the same.
 * `Unreachable`: no node gave a usable answer; asking later may help.
 *
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Head} Head
 * @typedef {import("./nodes.js").NodeList} NodeList
 */

const ANSWER_DEADLINE_MS = 4000;
const HISTORY_PAGE = 100;
const LIST_PAGE = 500;

export class Refused extends Error {}
export class Unreachable extends Error {}

export class Api {
  #nodes;

  /** @param {NodeList} nodes */
  constructor(nodes) {
    this.#nodes = nodes;
  }

  /**
   * @param {string} user
   * @returns {Promise<string>} address of a WebSocket on a live node
   */
  async socketAddress(user) {
    return (await this.#ask(`/chatMsg/getWebSocketAddress/${encodeURIComponent(user)}`)).data;
  }

  /**
   * Read the newest page of a conversation, or the next one beyond a seq.
   * @param {string} conversation
   * @param {{before?: number, after?: number}} [beyond]
   * @returns {Promise<{messages: Message[], hasMore: boolean}>} oldest first
   */
  async history(conversation, beyond = {}) {
    const path = `/chatMsg/getHistoryChat/${encodeURIComponent(conversation)}`;
    const answer = await this.#ask(path, { ...beyond, limit: HISTORY_PAGE });
    return { messages: answer.data, hasMore: answer.hasMore };
  }

  /**
   * Read all names online from one node: only its own list goes with its numbered changes.
   * @param {string} node
   * @returns {Promise<import("./presence.js").OnlineList>} the version of the oldest part
   */
  async online(node) {
    const names = [];
    const unknown = [];
    let listVersion = Infinity;
    for (let after = ""; ; after = names[names.length - 1]) {
      const answer = await ask(node, "/api/online", { after: after || undefined, limit: LIST_PAGE });
      names.push(...answer.data);
      unknown.push(...answer.unknown);
      listVersion = Math.min(listVersion, answer.listVersion);
      if (!answer.hasMore) return { names, unknown, listVersion };
    }
  }

  /**
   * Read the list of conversations page by page, newest first.
   * @returns {AsyncGenerator<Head[]>}
   */
  async *conversations() {
    /** @type {string | undefined} */
    let before;
    for (;;) {
      const answer = await this.#ask("/api/conversations", { before, limit: LIST_PAGE });
      yield answer.data;
      if (!answer.hasMore) return;
      before = answer.data[answer.data.length - 1].cursor;
    }
  }

  /**
   * @param {string} path
   * @param {Record<string, string | number | undefined>} [query]
   */
  async #ask(path, query) {
    for (const node of this.#nodes.inOrder()) {
      try {
        return await ask(node, path, query);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        this.#nodes.failed(node);
      }
    }
    throw new Unreachable("no node answers");
  }
}

/**
 * @param {string} node
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [query]
 * @returns {Promise<any>} the whole answer
 */
async function ask(node, path, query = {}) {
  const url = new URL(path, node);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const [status, answer] = await fetchJson(url);
  if (status >= 500) throw new Unreachable(`${url.origin}: ${answer.msg}`);
  if (answer.code !== 1) throw new Refused(answer.msg);
  return answer;
}

/**
 * @param {URL} url
 * @returns {Promise<[number, any]>} status and answer
 */
async function fetchJson(url) {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), ANSWER_DEADLINE_MS);
  try {
    // No cookies: what moves between nodes never relies on them.
    const options = { credentials: "omit", cache: "no-store", signal: deadline.signal };
    const response = await fetch(url, /** @type {RequestInit} */ (options));
    return [response.status, await response.json()];
  } catch (error) {
    // Refused, cut off, too late or not JSON: in every case this node is of no use now.
    throw new Unreachable(`${url.origin}: ${error}`);
  } finally {
    clearTimeout(timer);
  }
}
