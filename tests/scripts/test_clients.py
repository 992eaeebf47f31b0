"""The load generator's way of checking: it must notice what a test of messages is for."""

from __future__ import annotations

import pytest

from scripts.benchmark.clients import Stream, message_template, read_message
from scripts.benchmark.relay import percentiles
from zmqchat.wire.client import Message, Send, decode_event, encode_message


def _stream(*counters: int) -> Stream:
    stream = Stream()
    for counter in counters:
        stream.see(counter)
    return stream


@pytest.mark.parametrize(
    ("seen", "faults"),
    [
        ((1, 2, 3, 4), (0, 0, 0)),
        ((1, 2, 4), (1, 0, 0)),
        ((1, 2), (2, 0, 0)),
        ((), (4, 0, 0)),
        ((1, 2, 2, 3, 4), (0, 1, 0)),
        ((1, 3, 2, 4), (0, 0, 1)),
        ((4, 1, 3, 2), (0, 0, 3)),
        ((1, 3, 2, 2, 4), (0, 1, 1)),
    ],
)
def test_stream_counts_what_is_wrong(seen: tuple[int, ...], faults: tuple[int, int, int]) -> None:
    """Of four messages sent, what is lost, doubled and out of order is told apart."""
    stream = _stream(*seen)
    assert (stream.lost(4), stream.doubled, stream.out_of_order) == faults


@pytest.mark.parametrize("client_ids", [True, False])
@pytest.mark.parametrize("seq", [17, 18])
def test_clients_speak_the_wire_format(seq: int, *, client_ids: bool) -> None:
    """A node understands what the clients send, and they find counter and seq in its answer."""
    text = message_template(23, client_ids=client_ids) % ((17, 17) if client_ids else 17)
    event = decode_event(text)
    assert isinstance(event, Send)
    assert (event.client_id is not None) == client_ids
    message = Message(
        id="0123456789abcdef",
        seq=seq,
        conversation=event.sender,
        sender=event.sender,
        receiver=event.receiver,
        agent=None,
        msg=event.msg,
        create_time="2023-05-16T08:00:00.000Z",
        client_id=event.client_id,
        kind="text",
    )
    assert read_message(encode_message(message)) == (23, 17, seq == 17)


def test_percentiles_are_values_that_occurred() -> None:
    """Of a thousand latencies the 99th percentile is the 990th, in milliseconds."""
    figures = percentiles([number / 1000 for number in range(1000, 0, -1)])
    assert figures == pytest.approx({"p50_ms": 500, "p99_ms": 990, "p999_ms": 999, "max_ms": 1000})
