"""JSON events of a browser: what comes in is decoded and checked, what goes out is encoded once.

Knows the shapes and limits of events, not who may send them. Every encoder returns the bytes of
one WebSocket text message. A bare object without ``key`` is a message, as clients of the
original ATP chat room send it.
"""

from __future__ import annotations

import datetime
import enum
import functools
from collections.abc import Sequence
from typing import Any

import msgspec

from zmqchat.errors import ErrorCode, Refused
from zmqchat.names import check_name

PROTOCOL_V1 = "zmqchat.v1"  # the WebSocket subprotocol of clients that want more than the original
MAX_MESSAGE_BYTES = 64 * 1024  # UTF-8 bytes of a message's text
MAX_NUMBER = 2**63 - 1  # of a seq or a time, as the database keeps them


class Key(enum.IntEnum):
    """The ``key`` of an event."""

    WELCOME = 0
    OPEN = 1
    CLOSE = 2
    MESSAGE = 3
    RE_OPEN = 4
    ACK = 5
    ERROR = 6
    READ = 8
    RESUME = 9
    DRAIN = 10
    PING = 13


class Message(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One stored message as clients see it: ``data`` of key 3 and a row of the history."""

    id: str  # 16 hex digits
    seq: int  # 1, 2, 3 … in the conversation, without holes
    conversation: str  # the customer's account name
    sender: str  # the customer, or the desk account whichever agent wrote
    receiver: str
    agent: str | None  # display name of the agent who wrote, if one did
    msg: str
    create_time: str  # ISO 8601 with milliseconds and Z
    client_id: str | None
    kind: str  # "text"


class Send(msgspec.Struct, frozen=True, gc=False):
    """A client wants a message stored and delivered."""

    msg: str
    sender: str
    receiver: str
    client_id: str | None


class MarkRead(msgspec.Struct, frozen=True, gc=False):
    """A client has read its conversation up to a seq."""

    conversation: str
    seq: int


class Resume(msgspec.Struct, frozen=True, gc=False):
    """A client wants the messages of a conversation that it has missed since a seq."""

    conversation: str
    after: int


class ResumeHeads(msgspec.Struct, frozen=True, gc=False):
    """An agent's client wants to know which conversations have changed since a time."""

    since: int  # milliseconds since 1970, by the database's clock


class Ping(msgspec.Struct, frozen=True, gc=False):
    """A client asks for a sign of life."""


ClientEvent = Send | MarkRead | Resume | ResumeHeads | Ping


class _SendFields(msgspec.Struct, rename="camel"):
    msg: str
    sender: str
    receiver: str
    client_id: str | None = None
    create_time: str | int | float | None = None  # said by the original's clients, not believed


class _Incoming(msgspec.Struct, rename="camel", gc=False):
    key: int | msgspec.UnsetType = msgspec.UNSET
    msg: str | msgspec.UnsetType = msgspec.UNSET
    sender: str | msgspec.UnsetType = msgspec.UNSET
    receiver: str | msgspec.UnsetType = msgspec.UNSET
    client_id: str | None = None
    create_time: str | int | float | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


class _ReadFields(msgspec.Struct):
    conversation: str
    seq: int


class _ResumeFields(msgspec.Struct):
    conversation: str | msgspec.UnsetType = msgspec.UNSET
    after: int | msgspec.UnsetType = msgspec.UNSET
    since: int | msgspec.UnsetType = msgspec.UNSET


_decode_incoming = msgspec.json.Decoder(_Incoming).decode
_decode_send = msgspec.json.Decoder(_SendFields).decode
_decode_read = msgspec.json.Decoder(_ReadFields).decode
_decode_resume = msgspec.json.Decoder(_ResumeFields).decode
_encode = msgspec.json.Encoder().encode


def decode_event(text: bytes | str) -> ClientEvent:
    """Decode and check what a client sent; raise `Refused` naming what is wrong.

    >>> decode_event('{"msg":"hi","sender":"u1","receiver":"super_admin"}').msg
    'hi'
    """
    try:
        event = _decode_incoming(text)
        if event.key is msgspec.UNSET:
            return _checked_send(_bare_send(event))
        if event.key == Key.MESSAGE:
            return _checked_send(_decode_send(_data_of(event)))
        if event.key == Key.READ:
            return _checked_read(_decode_read(_data_of(event)))
        if event.key == Key.RESUME:
            return _checked_resume(_decode_resume(_data_of(event)))
        if event.key == Key.PING:
            return Ping()
    except msgspec.ValidationError as error:
        raise Refused(ErrorCode.BAD_EVENT, _in_words(error), _client_id_of(text)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(ErrorCode.BAD_JSON, f"not JSON: {error}") from None
    except RecursionError:
        raise Refused(ErrorCode.BAD_JSON, "not JSON: nested too deeply") from None
    accepted = f"{Key.MESSAGE:d}, {Key.READ:d}, {Key.RESUME:d} or {Key.PING:d}"
    raise Refused(
        ErrorCode.UNKNOWN_KEY,
        f"unknown key {event.key}; expected {accepted}, or none for a message",
    )


def _bare_send(event: _Incoming) -> _SendFields:
    if (
        event.msg is msgspec.UNSET
        or event.sender is msgspec.UNSET
        or event.receiver is msgspec.UNSET
    ):
        missing = next(
            name for name in ("msg", "sender", "receiver") if getattr(event, name) is msgspec.UNSET
        )
        raise msgspec.ValidationError(f"Object missing required field `{missing}`")
    return _SendFields(event.msg, event.sender, event.receiver, event.client_id)


def _data_of(event: _Incoming) -> msgspec.Raw:
    if not event.data:
        raise msgspec.ValidationError("Object missing required field `data`")
    return event.data


def _checked_send(send: _SendFields) -> Send:
    client_id = send.client_id
    if client_id is not None:
        check_name(client_id, "clientId")
    text = send.msg
    # Characters are at most as many as bytes, and at least a fourth: most texts need no encoding.
    if len(text) * 4 > MAX_MESSAGE_BYTES:
        size = len(text.encode())
        if size > MAX_MESSAGE_BYTES:
            raise Refused(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"message of {size} bytes exceeds {MAX_MESSAGE_BYTES}",
                client_id,
            )
    if not text or text.isspace():
        raise Refused(ErrorCode.EMPTY_MESSAGE, "message is empty", client_id)
    return Send(text, send.sender, send.receiver, client_id)


def _checked_read(read: _ReadFields) -> MarkRead:
    if read.seq < 0:
        raise msgspec.ValidationError(f"Expected `int` >= 0, got {read.seq} - at `$.seq`")
    return MarkRead(check_name(read.conversation, "conversation"), read.seq)


def _checked_resume(resume: _ResumeFields) -> Resume | ResumeHeads:
    conversation, after, since = resume.conversation, resume.after, resume.since
    if since is not msgspec.UNSET and conversation is after is msgspec.UNSET:
        return ResumeHeads(_checked_number("since", since))
    if conversation is msgspec.UNSET or after is msgspec.UNSET or since is not msgspec.UNSET:
        raise msgspec.ValidationError("Expected fields `conversation` and `after`, or `since`")
    return Resume(check_name(conversation, "conversation"), _checked_number("after", after))


def _checked_number(field: str, number: int) -> int:
    if not 0 <= number <= MAX_NUMBER:
        raise msgspec.ValidationError(
            f"Expected `int` 0 to 2^63 - 1, got {number} - at `$.{field}`"
        )
    return number


def _in_words(error: msgspec.ValidationError) -> str:
    return str(error).replace("`$.", "`").replace("$.", "")


def _client_id_of(text: bytes | str) -> str | None:
    """Find the client id in an event that is otherwise wrong, so that its sender can tell which."""
    try:
        loose: Any = msgspec.json.decode(text)
        fields = loose.get("data", loose) if isinstance(loose, dict) else {}
        client_id = fields.get("clientId") if isinstance(fields, dict) else None
        return check_name(client_id) if isinstance(client_id, str) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Refused):
        return None


@functools.lru_cache(maxsize=1024)
def iso_time(unix_ms: int) -> str:
    """Format milliseconds since 1970 as the original's JavaScript serialises a date.

    >>> iso_time(1684224000123)
    '2023-05-16T08:00:00.123Z'
    """
    seconds, milliseconds = divmod(unix_ms, 1000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


class _MessageEvent(msgspec.Struct, gc=False):
    key: int
    data: Message


def encode_message(message: Message) -> bytes:
    """MESSAGE (key 3), the same bytes for every client."""
    return _encode(_MessageEvent(Key.MESSAGE, message))


class _Ack(msgspec.Struct, rename="camel", gc=False):
    client_id: str
    id: str
    seq: int
    create_time: str
    duplicate: bool


class _AckEvent(msgspec.Struct, gc=False):
    key: int
    data: _Ack


def encode_ack(message: Message, client_id: str, *, duplicate: bool) -> bytes:
    """ACK (key 5): the message is committed; ``duplicate`` if it had been before."""
    data = _Ack(client_id, message.id, message.seq, message.create_time, duplicate)
    return _encode(_AckEvent(Key.ACK, data))


def encode_error(error: Refused) -> bytes:
    """ERROR (key 6)."""
    data = {
        "code": error.code,
        "msg": error.text,
        "clientId": error.client_id,
        "retryable": error.retryable,
    }
    return _encode({"key": Key.ERROR, "data": data})


def encode_read(conversation: str, seq: int, reader: str) -> bytes:
    """READ (key 8): ``reader``, the customer or the desk account, has read up to ``seq``."""
    data = {"conversation": conversation, "seq": seq, "reader": reader}
    return _encode({"key": Key.READ, "data": data})


class Head(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Where a conversation stands, as an agent's client that missed something is told."""

    conversation: str
    seq: int  # of the newest message
    customer_read: int
    desk_read: int
    updated_at: str  # when the newest message was stored, ISO 8601


def encode_resumed(conversation: str, up_to: int, *, complete: bool) -> bytes:
    """RESUME (key 9): up to ``up_to`` the client has all there is; if not, it is to load anew."""
    data = {"conversation": conversation, "upTo": up_to, "complete": complete}
    return _encode({"key": Key.RESUME, "data": data})


def encode_resumed_heads(heads: Sequence[Head], time: int, *, complete: bool) -> bytes:
    """RESUME (key 9) for agents: what changed; ``time`` is what to ask from the next time."""
    data = {"heads": heads, "time": time, "complete": complete}
    return _encode({"key": Key.RESUME, "data": data})


def encode_drain(node: str, url: str, after_ms: int) -> bytes:
    """DRAIN (key 10): this node is leaving; connect to ``node`` at ``url`` in so many ms."""
    data = {"node": node, "url": url, "afterMs": after_ms}
    return _encode({"key": Key.DRAIN, "data": data})


def encode_ping() -> bytes:
    """PING (key 13), a node's answer to a client's."""
    return b'{"key":13,"data":{}}'


class Welcome(msgspec.Struct, rename="camel"):
    """``data`` of WELCOME: where the client is and where else it may go."""

    node: str
    nodes: list[str]  # urls of live nodes, this one first
    session: str
    # What proves to any node that a login goes on with this one; null where a user may have many.
    continue_: str | None = msgspec.field(name="continue")
    user: str
    role: str  # "customer" or "agent"
    ping_interval_ms: int
    database_epoch: str  # which life of the database; seqs of another one mean nothing
    time: int  # the database's clock, milliseconds since 1970


def encode_welcome(welcome: Welcome) -> bytes:
    """WELCOME (key 0)."""
    return _encode({"key": Key.WELCOME, "data": welcome})


def encode_re_open(node: str, create_time: str) -> bytes:
    """RE_OPEN (key 4): the user has logged in on ``node``, and this session is closed."""
    return _encode({"key": Key.RE_OPEN, "data": {"node": node, "createTime": create_time}})


def encode_presence_lists(
    key: Key, online_list: Sequence[str], user_list: Sequence[str], online: int
) -> bytes:
    """OPEN or CLOSE (key 1, 2) as the original's clients know them: whole lists of names."""
    return _encode({"key": key, "onlineList": online_list, "userList": user_list, "online": online})


class PresenceChange(msgspec.Struct, rename="camel"):
    """OPEN or CLOSE for ``zmqchat.v1``: only what changed, at the top level of the event."""

    key: int
    opened: list[str]
    closed: list[str]
    unknown: list[str]  # users of nodes that may be dead
    online: int  # customers online in the whole cluster
    list_version: int  # counted by the node, up by one with each event


def encode_presence_change(change: PresenceChange) -> bytes:
    """OPEN or CLOSE (key 1, 2) for ``zmqchat.v1``."""
    return _encode(change)
