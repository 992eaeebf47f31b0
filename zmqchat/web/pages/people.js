/**
 * A list of people to choose from, each with a mark of presence and a dot for what is unread.
 *
 * @typedef {object} Person
 * @property {string} name
 * @property {"online" | "unknown" | "offline"} presence
 * @property {boolean} unread
 * @property {boolean} selected
 */

import { make, setText } from "./dom.js";
import { KeyedChildren } from "./keyed.js";

const MOST_ROWS = 500; // what a browser lays out without being felt

export class PeopleList {
  #rows;
  #more;

  /**
   * @param {HTMLElement} panel
   * @param {(name: string) => void} onSelect
   */
  constructor(panel, onSelect) {
    const list = make("ul", "people");
    this.#more = make("p", "empty");
    panel.append(list, this.#more);
    /** @type {KeyedChildren<Person>} */
    this.#rows = new KeyedChildren(list, { keyOf: ({ name }) => name, make: makeRow, update });
    list.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest("button");
      if (row?.dataset.name !== undefined) onSelect(row.dataset.name);
    });
  }

  /**
   * @param {Person[]} people
   * @param {string} empty said when there is nobody
   */
  show(people, empty) {
    const hidden = people.length - MOST_ROWS;
    this.#rows.show(people.slice(0, MOST_ROWS));
    setText(this.#more, people.length === 0 ? empty : hidden > 0 ? `and ${hidden} more` : "");
  }
}

/** @param {Person} person */
function makeRow({ name }) {
  const row = make(
    "button",
    "person",
    make("span", "presence"),
    make("bdi", "name", name),
    make("span", "unread"),
  );
  row.type = "button";
  row.dataset.name = name;
  return make("li", "", row);
}

/** @type {Readonly<Record<Person["presence"], string>>} */
const PRESENCE_WORDS = Object.freeze({ online: "online", unknown: "maybe online", offline: "" });

/**
 * @param {HTMLElement} item
 * @param {Person} person
 */
function update(item, { presence, unread, selected }) {
  const row = /** @type {HTMLElement} */ (item.firstElementChild);
  const [presenceMark, , unreadDot] = /** @type {HTMLElement[]} */ ([...row.children]);
  row.dataset.presence = presence;
  row.dataset.unread = String(unread);
  row.setAttribute("aria-current", String(selected));
  setText(presenceMark, PRESENCE_WORDS[presence]);
  setText(unreadDot, unread ? "unread" : "");
}
