/**
 * The desk's page: who is online, who ever wrote, and the conversation that is selected.
 */

import { Refused, Unreachable } from "./api.js";
import { Changes } from "./changes.js";
import { byId, gathered, setText } from "./dom.js";
import { PeopleList } from "./people.js";
import { Presence } from "./presence.js";
import { KEY } from "./protocol.js";
import { Reading } from "./reading.js";
import { Roster } from "./roster.js";
import { api, desk, startSession } from "./session.js";
import { activateTabs } from "./tabs.js";

const MOST_CONVERSATIONS = 2000; // older ones appear when somebody writes in them

const title = document.title;
const collator = new Intl.Collator();
const render = gathered(show);
const roster = new Roster();
const presence = new Presence((node) => api.online(node), render);
const conversations = new Reading(readConversations);
const onlineList = new PeopleList(byId("online-panel", HTMLElement), select);
const allList = new PeopleList(byId("all-panel", HTMLElement), select);
const changes = new Changes({
  send: (event) => connection.send(event),
  onHeads: (heads) => {
    for (const head of heads) roster.changed(head);
    render();
  },
  onReadAll: () => reported(conversations.want()),
});

activateTabs(byId("tabs", HTMLElement));

const { chat, connection, complain } = startSession(desk, {
  handlers: {
    [KEY.WELCOME]: ({ data }) => {
      reported(presence.follow(data.nodes[0]));
      changes.connected(data.time);
    },
    [KEY.OPEN]: (event) => reported(presence.onChange(event)),
    [KEY.CLOSE]: (event) => reported(presence.onChange(event)),
    [KEY.MESSAGE]: ({ data }) => {
      roster.written(data);
      render();
    },
    [KEY.READ]: ({ data }) => {
      if (data.reader === desk) readByDesk(data.conversation, data.seq);
    },
    [KEY.RESUME]: ({ data }) => {
      if (data.heads) changes.answered(data);
    },
  },
  onRead: readByDesk,
  onDisconnected: () => changes.disconnected(),
});

async function readConversations() {
  let count = 0;
  for await (const heads of api.conversations()) {
    for (const head of heads) roster.merge(head);
    render();
    count += heads.length;
    if (count >= MOST_CONVERSATIONS) return;
  }
}

/**
 * @param {string} conversation
 * @param {number} seq
 */
function readByDesk(conversation, seq) {
  roster.readByDesk(conversation, seq);
  render();
}

/** @param {string} name */
function select(name) {
  if (name === chat.name) return;
  chat.open(name);
  chat.composer.show(true);
  setText(byId("selected", HTMLElement), name);
  render();
}

function show() {
  const online = [...presence.people.keys()].sort(collator.compare);
  if (chat.name === null && online.length > 0) select(online[0]);
  const all = roster.names;
  onlineList.show(online.map(person), presence.known ? "Nobody is online." : "");
  allList.show(all.map(person), "Nobody has written yet.");
  setText(byId("online-count", HTMLElement), String(online.length));
  setText(byId("all-count", HTMLElement), String(all.length));
  if (presence.known) setText(byId("online-total", HTMLElement), `${online.length} online`);
  const unread = roster.unreadCount;
  document.title = unread ? `(${unread}) ${title}` : title;
}

/**
 * @param {string} name
 * @returns {import("./people.js").Person}
 */
function person(name) {
  return {
    name,
    presence: presence.people.get(name) ?? "offline",
    unread: roster.isUnread(name),
    selected: name === chat.name,
  };
}

/** @param {Promise<void>} reading */
async function reported(reading) {
  try {
    await reading;
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    complain(`The lists could not be read: ${error.message}`);
  }
}
