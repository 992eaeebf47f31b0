"""JSON events of a browser."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.errors import ErrorCode, Refused
from zmqchat.wire.client import (
    MAX_MESSAGE_BYTES,
    ClientEvent,
    Head,
    MarkRead,
    Message,
    Ping,
    Resume,
    ResumeHeads,
    Send,
    decode_event,
    encode_ack,
    encode_error,
    encode_message,
    encode_re_open,
    encode_read,
    encode_resumed,
    encode_resumed_heads,
    iso_time,
)

BARE = {"msg": "hi", "sender": "u1", "receiver": "super_admin"}


def refused(text: str | bytes) -> Refused:
    """Decode what must be refused."""
    with pytest.raises(Refused) as caught:
        decode_event(text)
    return caught.value


def test_a_bare_message_of_the_original_client() -> None:
    """Exactly what the original page sends needs nothing else."""
    text = (
        '{"msg":"hi","sender":"u1","receiver":"super_admin",'
        '"createTime":"2023-05-16T08:00:00.000Z"}'
    )
    assert decode_event(text) == Send("hi", "u1", "super_admin", None)


def test_a_message_with_its_key_has_its_fields_under_data() -> None:
    """The newer shape, with a client id."""
    event = {"key": 3, "data": {**BARE, "clientId": "c-1"}}
    assert decode_event(json.dumps(event)) == Send("hi", "u1", "super_admin", "c-1")


def test_read_and_ping() -> None:
    """The other events a client may send."""
    assert decode_event('{"key":8,"data":{"conversation":"u1","seq":4}}') == MarkRead("u1", 4)
    assert decode_event('{"key":13}') == Ping()


def test_resume_of_one_conversation_or_of_all() -> None:
    """A customer names the last seq it has, an agent may name the last time it was told."""
    resume = '{"key":9,"data":{"conversation":"u1","after":4}}'
    assert decode_event(resume) == Resume("u1", 4)
    assert decode_event('{"key":9,"data":{"since":1700000000000}}') == ResumeHeads(1700000000000)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("hello", ErrorCode.BAD_JSON, "not JSON"),
        ("", ErrorCode.BAD_JSON, "not JSON"),
        ('{"msg":"hi"', ErrorCode.BAD_JSON, "not JSON"),
        ('{"x":' + "[" * 5000, ErrorCode.BAD_JSON, "not JSON"),
        ("[1]", ErrorCode.BAD_EVENT, "Expected `object`, got `array`"),
        ("7", ErrorCode.BAD_EVENT, "Expected `object`, got `int`"),
        ("{}", ErrorCode.BAD_EVENT, "missing required field `msg`"),
        ('{"msg":"hi","sender":"u1"}', ErrorCode.BAD_EVENT, "missing required field `receiver`"),
        ('{"msg":7,"sender":"u1","receiver":"d"}', ErrorCode.BAD_EVENT, "got `int` - at `msg`"),
        ('{"key":3}', ErrorCode.BAD_EVENT, "missing required field `data`"),
        ('{"key":3,"data":{"msg":"hi"}}', ErrorCode.BAD_EVENT, "missing required field `sender`"),
        ('{"key":"3"}', ErrorCode.BAD_EVENT, "got `str` - at `key`"),
        ('{"key":8,"data":{"conversation":"u1","seq":-1}}', ErrorCode.BAD_EVENT, "at `seq`"),
        ('{"key":8,"data":{"conversation":"","seq":1}}', ErrorCode.BAD_NAME, "0 characters"),
        ('{"key":99}', ErrorCode.UNKNOWN_KEY, "unknown key 99; expected 3, 8, 9 or 13"),
        ('{"key":9}', ErrorCode.BAD_EVENT, "missing required field `data`"),
        ('{"key":9,"data":{}}', ErrorCode.BAD_EVENT, "`conversation` and `after`, or `since`"),
        ('{"key":9,"data":{"after":1}}', ErrorCode.BAD_EVENT, "`conversation` and `after`"),
        ('{"key":9,"data":{"conversation":"u1","after":-1}}', ErrorCode.BAD_EVENT, "at `after`"),
        ('{"key":9,"data":{"since":9223372036854775808}}', ErrorCode.BAD_EVENT, "at `since`"),
        ('{"key":9,"data":{"since":1,"after":1}}', ErrorCode.BAD_EVENT, "or `since`"),
        ('{"key":9,"data":{"conversation":"","after":1}}', ErrorCode.BAD_NAME, "0 characters"),
        ('{"key":0}', ErrorCode.UNKNOWN_KEY, "unknown key 0"),
        ('{"msg":" \\n\\t","sender":"u","receiver":"d"}', ErrorCode.EMPTY_MESSAGE, "empty"),
        (
            '{"msg":"x","sender":"u","receiver":"d","clientId":""}',
            ErrorCode.BAD_NAME,
            "clientId has 0 characters",
        ),
    ],
)
def test_bad_input_is_refused_by_name(text: str, code: ErrorCode, words: str) -> None:
    """Each mistake gets its code, and a sentence that names the field."""
    error = refused(text)
    assert error.code is code
    assert words in error.text


def test_a_message_is_limited_in_bytes() -> None:
    """64 KiB of UTF-8 pass, whatever they are made of; one byte more does not."""
    for character in ("x", "é", "中", "😀"):
        most = MAX_MESSAGE_BYTES // len(character.encode())
        fits, too_long = character * most, character * most + "y" * 4
        assert decode_event(json.dumps({**BARE, "msg": fits})) == Send(
            fits, "u1", "super_admin", None
        )
        error = refused(json.dumps({**BARE, "msg": too_long, "clientId": "c1"}))
        assert error.code is ErrorCode.MESSAGE_TOO_LARGE
        assert str(MAX_MESSAGE_BYTES) in error.text
        assert error.client_id == "c1"


def test_an_error_names_the_message_it_is_about() -> None:
    """Even of an event that is otherwise wrong the client id is found, in both shapes."""
    assert refused('{"msg":7,"clientId":"c1"}').client_id == "c1"
    assert refused('{"key":3,"data":{"msg":7,"clientId":"c2"}}').client_id == "c2"
    assert refused('{"msg":7,"clientId":8}').client_id is None
    assert refused('{"key":3,"data":[]}').client_id is None


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(payload: bytes) -> None:
    """Nothing a client sends raises anything else."""
    with contextlib.suppress(Refused):
        decode_event(payload)


json_values = st.sampled_from(
    [None, True, -1, 3, 8, 9, 13, 1.5, 2**70, "", "u1", "\x00", [], ["a"], {}, {"msg": "a"}]
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["key", "data", "msg", "sender", "receiver", "clientId", "createTime", "seq", "x"]
        ),
        json_values | st.text(max_size=10),
    )
)
def test_any_object_is_decoded_or_refused(event: dict[str, Any]) -> None:
    """The same for well-formed JSON with any values in the fields."""
    with contextlib.suppress(Refused):
        assert isinstance(decode_event(json.dumps(event)), ClientEvent)


@given(st.text(min_size=1, max_size=300).filter(lambda text: not text.isspace()))
def test_text_survives(text: str) -> None:
    """What a client writes is what is read, character by character."""
    sent = decode_event(json.dumps({**BARE, "msg": text}))
    assert isinstance(sent, Send)
    message = Message("0" * 16, 1, "u1", "u1", "d", None, sent.msg, iso_time(0), None, "text")
    assert json.loads(encode_message(message))["data"]["msg"] == text


def test_the_shapes_of_what_goes_out() -> None:
    """Field names as clients know them."""
    message = Message("ab", 3, "u1", "u1", "desk", None, "hi", iso_time(1), "c1", "text")
    assert json.loads(encode_message(message)) == {
        "key": 3,
        "data": {
            "id": "ab",
            "seq": 3,
            "conversation": "u1",
            "sender": "u1",
            "receiver": "desk",
            "agent": None,
            "msg": "hi",
            "createTime": "1970-01-01T00:00:00.001Z",
            "clientId": "c1",
            "kind": "text",
        },
    }
    assert json.loads(encode_ack(message, "c1", duplicate=True)) == {
        "key": 5,
        "data": {
            "clientId": "c1",
            "id": "ab",
            "seq": 3,
            "createTime": "1970-01-01T00:00:00.001Z",
            "duplicate": True,
        },
    }
    assert json.loads(encode_error(Refused(ErrorCode.BUSY, "later", "c1"))) == {
        "key": 6,
        "data": {"code": "busy", "msg": "later", "clientId": "c1", "retryable": True},
    }
    assert json.loads(encode_read("u1", 4, "desk")) == {
        "key": 8,
        "data": {"conversation": "u1", "seq": 4, "reader": "desk"},
    }


def test_the_answers_to_resume() -> None:
    """Up to where a client has everything, or what has changed since it asked last."""
    assert json.loads(encode_resumed("u1", 7, complete=True)) == {
        "key": 9,
        "data": {"conversation": "u1", "upTo": 7, "complete": True},
    }
    head = Head("u1", seq=7, customer_read=5, desk_read=6, updated_at=iso_time(0))
    assert json.loads(encode_resumed_heads([head], 12, complete=True)) == {
        "key": 9,
        "data": {
            "heads": [
                {
                    "conversation": "u1",
                    "seq": 7,
                    "customerRead": 5,
                    "deskRead": 6,
                    "updatedAt": "1970-01-01T00:00:00.000Z",
                }
            ],
            "time": 12,
            "complete": True,
        },
    }


def test_re_open_tells_where_and_when() -> None:
    """Key 4, as clients of the original name it."""
    assert json.loads(encode_re_open("n2", iso_time(0))) == {
        "key": 4,
        "data": {"node": "n2", "createTime": "1970-01-01T00:00:00.000Z"},
    }
