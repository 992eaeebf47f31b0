/**
 * Who is online, from one node's numbered changes.
 *
 * Another node, or a change that does not follow the last one, means: read that node's whole list
 * again. Changes that come meanwhile are kept and applied on top, so the result is the node's own.
 *
 * @typedef {import("./protocol.js").PresenceChange} PresenceChange
 *
 * @typedef {object} OnlineList
 * @property {string[]} names of all who are not offline
 * @property {string[]} unknown those of them whose node may be dead
 * @property {number} listVersion
 */

import { Reading } from "./reading.js";

export class Presence {
  /** Names by what is known of them: "online", or "unknown" where their node may be dead. */
  people = /** @type {Map<string, "online" | "unknown">} */ (new Map());
  known = false; // whether a list was ever read
  #node = "";
  /** @type {number | null} the version of `people`, null while the list is read */
  #version = null;
  /** @type {PresenceChange[]} */
  #early = [];
  #readList;
  #changed;
  #reading = new Reading(() => this.#read());

  /**
   * @param {(node: string) => Promise<OnlineList>} readList
   * @param {() => void} changed
   */
  constructor(readList, changed) {
    this.#readList = readList;
    this.#changed = changed;
  }

  /**
   * There is a connection to a node: its list counts from now on.
   * @param {string} node
   */
  follow(node) {
    this.#node = node;
    return this.#readAgain([]);
  }

  /** @param {PresenceChange} change */
  async onChange(change) {
    if (this.#version === null) {
      this.#early.push(change);
    } else if (change.listVersion === this.#version + 1) {
      this.#apply(change);
      this.#changed();
    } else if (change.listVersion > this.#version) {
      await this.#readAgain([change]);
    }
  }

  /** @param {PresenceChange[]} early */
  #readAgain(early) {
    this.#version = null;
    this.#early = early;
    return this.#reading.want();
  }

  async #read() {
    const node = this.#node;
    const { names, unknown, listVersion } = await this.#readList(node);
    if (node !== this.#node) return; // the page moved on; another reading follows
    this.people = new Map(names.map((name) => [name, "online"]));
    for (const name of unknown) this.people.set(name, "unknown");
    this.known = true;
    this.#version = listVersion;
    for (const change of this.#early) {
      if (change.listVersion > this.#version) this.#apply(change);
    }
    this.#early = [];
    this.#changed();
  }

  /** @param {PresenceChange} change */
  #apply({ opened, unknown, closed, listVersion }) {
    for (const name of opened) this.people.set(name, "online");
    for (const name of unknown) this.people.set(name, "unknown");
    for (const name of closed) this.people.delete(name);
    this.#version = listVersion;
  }
}
