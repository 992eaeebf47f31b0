"""Answers at a bounded pace."""

from __future__ import annotations

from zmqchat.core.answers import BURST_BYTES, RATE_BYTES_S, Answers
from zmqchat.wire.mesh import SessionEntry, Snapshot, SyncRequest

QUESTION = SyncRequest(1, 0)
LARGE = Snapshot(1, 0, 1, [SessionEntry(number, "u" * 52, agent=False) for number in range(1024)])
CHUNKS = 16  # about 1 MiB


def test_a_small_answer_is_sent_at_once() -> None:
    """And then there is nothing to wake up for."""
    small = Snapshot(1, 0, 1, [])
    answers = Answers(lambda _request: [small])
    answers.ask(7, QUESTION, 1.0)
    assert answers.next == 1.0
    assert answers.due(1.0) == [(7, small)]
    assert answers.due(99.0) == []


def test_a_large_answer_takes_its_time() -> None:
    """After the first burst no more than the rate is sent."""
    answers = Answers(lambda _request: [LARGE] * CHUNKS)
    answers.ask(7, QUESTION, 0.0)
    sent, now = 0, 0.0
    while (next_at := answers.next) < 60.0:
        now = next_at
        sent += len(answers.due(now))
    assert sent == CHUNKS
    size = CHUNKS * 1024 * 64
    expected = (size - BURST_BYTES) / RATE_BYTES_S
    assert 0.8 * expected < now < 1.2 * expected


def test_a_question_asked_again_while_it_waits_is_answered_once() -> None:
    """A peer that asks in a hurry cannot fill the queue."""
    asked = []

    def answer(request: SyncRequest) -> list[Snapshot]:
        asked.append(request)
        return [LARGE] * CHUNKS

    answers = Answers(answer)
    for now in (0.0, 0.0, 0.01):
        answers.ask(7, QUESTION, now)
        answers.ask(8, QUESTION, now)
        answers.due(now)
    assert len(asked) == 1
    sent = [node for step in range(1, 400) for node, _ in answers.due(step / 100)]
    assert sent.count(8) == CHUNKS
    assert len(asked) == 2
