/**
 * What both pages are made of: a connection, its status line, and the open conversation, wired
 * together by the key of each event.
 */

import { Api } from "./api.js";
import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { byId, metaContent } from "./dom.js";
import { NodeList } from "./nodes.js";
import { KEY } from "./protocol.js";
import { StatusLine } from "./status.js";

/** The desk's account name, as this cluster calls it. */
export const desk = metaContent("zmqchat-desk");

export const nodes = new NodeList([location.origin, ...words(metaContent("zmqchat-nodes"))]);
export const api = new Api(nodes);

/**
 * @typedef {object} More What a page wants beyond its conversation.
 * @property {Record<number, (event: any) => void>} [handlers] by key
 * @property {(conversation: string, seq: number) => void} [onRead]
 * @property {() => void} [onDisconnected]
 */

/**
 * Connect as a user, and keep the page's conversation going. Call it once a page.
 * @param {string} user
 * @param {More} more
 */
export function startSession(user, { handlers = {}, onRead, onDisconnected } = {}) {
  const status = new StatusLine({
    line: byId("status", HTMLElement),
    again: byId("reconnect", HTMLButtonElement),
    problem: byId("problem", HTMLElement),
    onAgain: () => connection.start(),
  });
  const connection = new Connection({
    user,
    api,
    nodes,
    onEvent: (event) => {
      own[event.key]?.(event);
      handlers[event.key]?.(event);
    },
    onState: (state) => {
      status.show(state);
      if (state.name === "online") return;
      chat.disconnected();
      onDisconnected?.();
    },
  });
  const complain = status.complain.bind(status);
  const send = connection.send.bind(connection);
  const chat = new Chat({ user, desk, api, send, onProblem: complain, onRead });
  /** @type {Record<number, (event: any) => void>} */
  const own = {
    [KEY.WELCOME]: ({ data }) => {
      reloadIfReplaced(data.databaseEpoch);
      chat.connected();
    },
    [KEY.MESSAGE]: ({ data }) => chat.onMessage(data),
    [KEY.ACK]: ({ data }) => chat.onAck(data),
    [KEY.ERROR]: ({ data }) => chat.onError(data),
    [KEY.RESUME]: ({ data }) => chat.onResumed(data),
  };
  wakeWithPage(connection);
  connection.start();
  return { chat, connection, complain };
}

let knownEpoch = "";

/**
 * All that this page has of another database is void; what is unsent is kept over the reload.
 * @param {string} databaseEpoch
 */
function reloadIfReplaced(databaseEpoch) {
  if (knownEpoch && knownEpoch !== databaseEpoch) location.reload();
  knownEpoch = databaseEpoch;
}

/**
 * A page or network that wakes up does not wait for its timers.
 * @param {Connection} connection
 */
function wakeWithPage(connection) {
  const nudge = () => {
    if (document.visibilityState === "visible") connection.nudge();
  };
  addEventListener("online", nudge);
  addEventListener("pageshow", nudge);
  document.addEventListener("visibilitychange", nudge);
}

/** @param {string} text */
function words(text) {
  return text.split(/\s+/).filter(Boolean);
}
