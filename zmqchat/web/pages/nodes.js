/**
 * Which nodes this page knows, the most promising first.
 *
 * A node that failed goes to the end and is never forgotten: it may come back.
 */

export class NodeList {
  /** @type {string[]} */
  #origins;

  /** @param {string[]} urls the page's own node first */
  constructor(urls) {
    this.#origins = unique(urls);
  }

  /**
   * Put live nodes ahead of all others.
   * @param {string[]} urls the connected node first
   */
  learn(urls) {
    this.#origins = unique([...urls, ...this.#origins]);
  }

  /** @param {string} origin a node that did not answer */
  failed(origin) {
    this.#origins = [...this.#origins.filter((other) => other !== origin), origin];
  }

  /** @returns {string[]} a copy, safe to walk while nodes fail */
  inOrder() {
    return [...this.#origins];
  }
}

/** @param {string[]} urls */
function unique(urls) {
  return [...new Set(urls.map((url) => new URL(url).origin))];
}
