/**
 * What became of all conversations while the desk had no connection.
 *
 * On the first connection the whole list is read; on each later one a node is asked what changed
 * since the last time. Where it cannot tell, the list is read again.
 *
 * @typedef {import("./protocol.js").Changed} Changed
 * @typedef {import("./protocol.js").ChangedHead} ChangedHead
 */

import { Asking } from "./asking.js";
import { KEY } from "./protocol.js";

export class Changes {
  #since = 0; // by the database's clock; 0 before the first connection
  #asking;
  #onHeads;
  #onReadAll;

  /**
   * @param {object} parts
   * @param {(event: object) => boolean} parts.send false if there is no connection
   * @param {(heads: ChangedHead[]) => void} parts.onHeads
   * @param {() => void} parts.onReadAll the whole list is to be read
   */
  constructor({ send, onHeads, onReadAll }) {
    this.#asking = new Asking(send, onReadAll);
    this.#onHeads = onHeads;
    this.#onReadAll = onReadAll;
  }

  /**
   * There is a connection.
   * @param {number} time of the database
   */
  connected(time) {
    const known = this.#since;
    if (known && this.#asking.ask({ key: KEY.RESUME, data: { since: known } })) return;
    this.#since ||= time;
    this.#onReadAll();
  }

  disconnected() {
    this.#asking.stop();
  }

  /** @param {Changed} changed */
  answered({ heads, time, complete }) {
    if (!this.#asking.waits) return;
    this.#asking.stop();
    this.#since = time;
    if (complete) this.#onHeads(heads);
    else this.#onReadAll();
  }
}
