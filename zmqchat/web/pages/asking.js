/**
 * One RESUME that a page waits for: whether an answer is due, and what to do if none comes.
 *
 * A question dies with its connection. Each thing heard of it gives the node more time, since what
 * was missed comes as fast as the page can take it.
 */

const ANSWER_DEADLINE_MS = 10_000;

export class Asking {
  #send;
  #onSilence;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {(event: object) => boolean} send false if there is no connection
   * @param {() => void} onSilence no answer came
   */
  constructor(send, onSilence) {
    this.#send = send;
    this.#onSilence = onSilence;
  }

  /** Whether an answer is due. */
  get waits() {
    return this.#timer !== undefined;
  }

  /**
   * @param {object} event
   * @returns {boolean} false if there is no connection to ask on
   */
  ask(event) {
    this.stop();
    const sent = this.#send(event);
    if (sent) this.#wait();
    return sent;
  }

  /** Something came that belongs to the answer. */
  heard() {
    if (this.waits) this.#wait();
  }

  /** The answer is here, or is not wanted any more. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.stop();
      this.#onSilence();
    }, ANSWER_DEADLINE_MS);
  }
}
