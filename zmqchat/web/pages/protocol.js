/**
 * The words of the client protocol `zmqchat.v1` that this page and a node share.
 *
 * The numbers agree with zmqchat/wire/client.py and zmqchat/errors.py; a test compares them.
 *
 * @typedef {object} Message One stored message, as key 3 and the history carry it.
 * @property {string} id
 * @property {number} seq 1, 2, 3 … in the conversation, without holes
 * @property {string} conversation the customer's name
 * @property {string} sender
 * @property {string} receiver
 * @property {string | null} agent display name of the agent who wrote, if one did
 * @property {string} msg
 * @property {string} createTime ISO 8601
 * @property {string | null} clientId
 * @property {string} kind
 *
 * @typedef {object} Welcome `data` of WELCOME.
 * @property {string} node
 * @property {string[]} nodes urls of live nodes, the connected one first
 * @property {string} session
 * @property {string | null} continue proves that a connection goes on with this login
 * @property {string} user
 * @property {string} role "customer" or "agent"
 * @property {number} pingIntervalMs
 * @property {string} databaseEpoch which life of the database; seqs of another one mean nothing
 * @property {number} time of the database, milliseconds since 1970
 *
 * @typedef {object} Ack `data` of ACK.
 * @property {string} clientId
 * @property {string} id
 * @property {number} seq
 * @property {string} createTime
 * @property {boolean} duplicate
 *
 * @typedef {object} Failure `data` of ERROR.
 * @property {string} code
 * @property {string} msg
 * @property {string | null} clientId
 * @property {boolean} retryable
 *
 * @typedef {object} ReadMark `data` of READ.
 * @property {string} conversation
 * @property {number} seq
 * @property {string} reader the customer, or the desk's account
 *
 * @typedef {object} Resumed `data` of RESUME for one conversation.
 * @property {string} conversation
 * @property {number} upTo up to here the page has been sent all there is
 * @property {boolean} complete false if the conversation is to be loaded anew
 *
 * @typedef {object} Changed `data` of RESUME for the desk.
 * @property {ChangedHead[]} heads
 * @property {number} time what to ask from the next time
 * @property {boolean} complete false if the list is to be read anew
 *
 * @typedef {object} ChangedHead A conversation with newer messages.
 * @property {string} conversation
 * @property {number} seq of its newest message
 * @property {number} customerRead
 * @property {number} deskRead
 * @property {string} updatedAt ISO 8601
 *
 * @typedef {object} PresenceChange OPEN or CLOSE; its fields stand beside the key.
 * @property {string[]} opened
 * @property {string[]} closed
 * @property {string[]} unknown users of nodes that may be dead
 * @property {number} online
 * @property {number} listVersion up by one with each change, counted by each node
 *
 * @typedef {object} Head A row of the desk's list of conversations.
 * @property {string} conversation
 * @property {number} lastSeq
 * @property {number} customerReadSeq
 * @property {number} deskReadSeq
 * @property {Message | null} lastMessage
 * @property {string} updatedAt
 * @property {string} cursor
 */

export const SUBPROTOCOL = "zmqchat.v1";

/** Of a second subprotocol, which carries what WELCOME called `continue`. */
export const PROOF_PREFIX = "c.";

export const KEY = Object.freeze({
  WELCOME: 0,
  OPEN: 1,
  CLOSE: 2,
  MESSAGE: 3,
  RE_OPEN: 4,
  ACK: 5,
  ERROR: 6,
  READ: 8,
  RESUME: 9,
  DRAIN: 10,
  PING: 13,
});

/** UTF-8 bytes of one message's text. */
export const MAX_MESSAGE_BYTES = 65536;

// A node that closes with one of these codes asks the page not to come back by itself.
export const FIRST_TERMINAL_CLOSE = 4500;
export const LAST_TERMINAL_CLOSE = 4999;

/** @type {Readonly<Record<number, string>>} */
export const TERMINAL_CLOSE_WORDS = Object.freeze({
  4501: "logged in elsewhere",
  4503: "the server does not accept this name",
});

/** @type {Readonly<Record<number, string>>} what the button says that connects all the same */
const AGAIN_WORDS = Object.freeze({
  4501: "Use here",
});

/**
 * Say what connecting again means after a node closed for good.
 * @param {number} code
 */
export function againWords(code) {
  return AGAIN_WORDS[code] ?? "Connect again";
}

/**
 * Tell whether a page closed with this code should connect again by itself.
 * @param {number} code
 */
export function mayReconnect(code) {
  return code < FIRST_TERMINAL_CLOSE || code > LAST_TERMINAL_CLOSE;
}

/**
 * Say in words why a node closed for good.
 * @param {number} code
 * @param {string} reason what the node said, if anything
 */
export function closeWords(code, reason) {
  return reason || TERMINAL_CLOSE_WORDS[code] || `the server closed with code ${code}`;
}
