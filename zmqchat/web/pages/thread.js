/**
 * The messages on the screen, and where they are scrolled to.
 *
 * The rule: near the end the thread follows the newest message; elsewhere it holds still, whatever
 * is put before or after what is being read.
 *
 * @typedef {import("./bubble.js").Entry} Entry
 */

import { makeBubble, updateBubble } from "./bubble.js";
import { make } from "./dom.js";
import { KeyedChildren } from "./keyed.js";

const NEAR_PX = 100;

export class Thread {
  #log;
  #older = button("older", "Load older messages");
  #list = make("ol", "messages");
  #empty = make("p", "empty", "No messages yet.");
  #newest;
  #bubbles;
  #onRead;
  #onOlder;
  #following = true;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.log the scrolling element
   * @param {HTMLButtonElement} parts.newest shown while newer messages stand below
   * @param {() => void} parts.onRead the newest message came into sight
   * @param {() => void} parts.onOlder older messages are wanted
   * @param {(clientId: string) => void} parts.onRetry
   * @param {(clientId: string) => void} parts.onDiscard
   */
  constructor({ log, newest, onRead, onOlder, onRetry, onDiscard }) {
    this.#log = log;
    this.#newest = newest;
    this.#onRead = onRead;
    this.#onOlder = onOlder;
    /** @type {KeyedChildren<Entry>} */
    this.#bubbles = new KeyedChildren(this.#list, {
      keyOf: (entry) => entry.key,
      make: makeBubble,
      update: updateBubble,
    });
    log.append(this.#older, this.#list, this.#empty);
    log.addEventListener("scroll", () => this.#scrolled());
    this.#older.addEventListener("click", () => this.#askForOlder());
    newest.addEventListener("click", () => this.#goToEnd());
    new ResizeObserver(() => this.#following && this.toEnd()).observe(log);
    this.#listenForActions({ retry: onRetry, discard: onDiscard });
  }

  /** Whether the newest message is in sight. */
  get atEnd() {
    return this.#following;
  }

  /**
   * @param {Entry[]} entries
   * @param {{hasOlder: boolean, loaded: boolean}} conversation
   */
  show(entries, { hasOlder, loaded }) {
    const held = this.#following ? null : this.#firstInSight();
    const top = held?.offsetTop ?? 0;
    const last = this.#list.lastElementChild;
    this.#showOlder(hasOlder);
    this.#empty.hidden = !loaded || entries.length > 0;
    this.#bubbles.show(entries);
    if (held === null) this.toEnd();
    else this.#hold(held, top);
    if (!this.#following && last !== this.#list.lastElementChild) this.#newest.hidden = false;
    this.#log.setAttribute("aria-busy", String(!loaded));
  }

  /**
   * A message that was shown as unsent is shown as stored from now on, in the same place.
   * @param {string} clientId
   * @param {number} seq
   */
  stored(clientId, seq) {
    this.#bubbles.rename(clientId, String(seq));
  }

  /** Make place for another conversation. */
  clear() {
    this.#bubbles.show([]);
    this.#empty.hidden = true;
    this.#showOlder(false);
    this.toEnd();
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#following = true;
    this.#newest.hidden = true;
  }

  #goToEnd() {
    this.toEnd();
    this.#log.focus({ preventScroll: true });
    this.#onRead();
  }

  /**
   * @param {HTMLElement} bubble
   * @param {number} top where it stood before
   */
  #hold(bubble, top) {
    if (bubble.isConnected) this.#log.scrollTop += bubble.offsetTop - top;
    this.#following = this.#isNearEnd();
  }

  #scrolled() {
    const wasFollowing = this.#following;
    this.#following = this.#isNearEnd();
    if (this.#following) {
      this.#newest.hidden = true;
      if (!wasFollowing) this.#onRead();
    } else if (this.#log.scrollTop <= NEAR_PX && !this.#older.hidden) {
      this.#askForOlder();
    }
  }

  #isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    return scrollHeight - clientHeight - scrollTop <= NEAR_PX;
  }

  #askForOlder() {
    // What is put above is old: nobody wants it read out.
    this.#log.setAttribute("aria-busy", "true");
    this.#following = false;
    this.#onOlder();
  }

  /** @param {boolean} hasOlder */
  #showOlder(hasOlder) {
    const focused = document.activeElement === this.#older;
    this.#older.hidden = !hasOlder;
    if (focused && !hasOlder) this.#log.focus({ preventScroll: true });
  }

  /** @returns {HTMLElement | null} */
  #firstInSight() {
    const top = this.#log.scrollTop;
    for (const child of this.#list.children) {
      const bubble = /** @type {HTMLElement} */ (child);
      if (bubble.offsetTop + bubble.offsetHeight > top) return bubble;
    }
    return null;
  }

  /** @param {Record<string, (clientId: string) => void>} actions */
  #listenForActions(actions) {
    this.#list.addEventListener("click", (event) => {
      const clicked = /** @type {HTMLElement} */ (event.target);
      const bubble = clicked.closest("li");
      actions[clicked.dataset.action ?? ""]?.(bubble?.dataset.clientId ?? "");
    });
  }
}

/**
 * @param {string} className
 * @param {string} label
 */
function button(className, label) {
  const element = make("button", className, label);
  element.type = "button";
  element.hidden = true;
  return element;
}
