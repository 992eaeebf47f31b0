/**
 * One reading at a time of something that may change while it is read.
 *
 * A wish that comes during a reading is met by one more afterwards, since the answer under way may
 * be older than the wish. Where no node answers, it is tried again until one does.
 */

import { Unreachable } from "./api.js";

const RETRY_MS = 2000;

export class Reading {
  #read;
  #running = false;
  #wanted = false;
  #stopped = false;

  /** @param {() => Promise<void>} read */
  constructor(read) {
    this.#read = read;
  }

  /**
   * Read now, or once more after the reading under way.
   * @throws {import("./api.js").Refused} if a node refuses; whoever began the reading is told
   */
  async want() {
    this.#wanted = true;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#wanted && !this.#stopped) await this.#readOnce();
    } finally {
      this.#running = false;
    }
  }

  /** Nobody wants it any more. */
  stop() {
    this.#stopped = true;
  }

  async #readOnce() {
    this.#wanted = false;
    try {
      await this.#read();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.#wanted = true;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
