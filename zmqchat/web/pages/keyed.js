/**
 * Keeps the children of an element in step with an array.
 *
 * A child is made once for each key, changed in place, and moved only when its neighbours
 * changed, so that focus, selection and scroll position survive.
 *
 * @template T
 */
export class KeyedChildren {
  #parent;
  #keyOf;
  #make;
  #update;
  /** @type {Map<string, HTMLElement>} */
  #children = new Map();

  /**
   * @param {HTMLElement} parent
   * @param {object} row
   * @param {(item: T) => string} row.keyOf
   * @param {(item: T) => HTMLElement} row.make
   * @param {(child: HTMLElement, item: T) => void} row.update
   */
  constructor(parent, { keyOf, make, update }) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
    this.#update = update;
  }

  /** @param {T[]} items */
  show(items) {
    const focused = document.activeElement;
    this.#removeAllBut(new Set(items.map(this.#keyOf)));
    let next = this.#parent.firstElementChild;
    for (const item of items) {
      const child = this.#childFor(item);
      if (child === next) next = child.nextElementSibling;
      else this.#parent.insertBefore(child, next);
    }
    const lostFocus = focused instanceof HTMLElement && focused !== document.activeElement;
    if (lostFocus && this.#parent.contains(focused)) focused.focus({ preventScroll: true });
  }

  /**
   * Let a child stand for another key from now on, unless that one has a child already.
   * @param {string} key
   * @param {string} newKey
   */
  rename(key, newKey) {
    const child = this.#children.get(key);
    if (child === undefined || this.#children.has(newKey)) return;
    this.#children.delete(key);
    this.#children.set(newKey, child);
  }

  /** @param {Set<string>} wanted */
  #removeAllBut(wanted) {
    for (const [key, child] of this.#children) {
      if (wanted.has(key)) continue;
      child.remove();
      this.#children.delete(key);
    }
  }

  /** @param {T} item */
  #childFor(item) {
    const key = this.#keyOf(item);
    let child = this.#children.get(key);
    if (child === undefined) {
      child = this.#make(item);
      this.#children.set(key, child);
    }
    this.#update(child, item);
    return child;
  }
}
