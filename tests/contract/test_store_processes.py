"""What a store promises when several processes share the database."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from typing import Any

from tests.contract.stores import Place, in_loop, opened

WITHIN_S = 30.0
EACH = 400  # messages of a process, in four conversations


def run_together(place: Place, drafts_of: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Start a process for each name, let all write at once, and collect their answers."""
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, drafts in drafts_of.items():
            command = [sys.executable, "-m", "tests.contract.store_process", place.url, name]
            process = subprocess.Popen(
                [*command, json.dumps(drafts)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            processes[name] = process
        for process in processes.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = {}
        for name, process in processes.items():
            output, _ = process.communicate(timeout=WITHIN_S)
            assert process.returncode == 0
            answers[name] = json.loads(output)
        return answers


@in_loop
async def test_the_same_client_ids_from_two_processes_at_once(place: Place) -> None:
    """Each message is stored once; both get it, one of them as a duplicate."""
    drafts = [["u1", f"text {n}", f"c{n}"] for n in range(300)]
    answers = run_together(place, {"n1": drafts, "n2": drafts})
    for (one_id, one_seq, one_again), (two_id, two_seq, two_again) in zip(
        answers["n1"], answers["n2"], strict=True
    ):
        assert (one_id, one_seq) == (two_id, two_seq)
        assert {one_again, two_again} == {False, True}
    async with opened(place) as store:
        messages = (await store.history("u1", limit=500)).messages
    assert [message.seq for message in messages] == list(range(1, 301))


@in_loop
async def test_two_processes_leave_no_hole_in_what_both_write(place: Place) -> None:
    """Seqs of shared conversations are 1, 2, 3; each writer's own stay in its order."""
    answers = run_together(
        place,
        {
            name: [[f"u{n % 4}", f"{name} {n}", None] for n in range(EACH)]
            for name in ("n1", "n2", "n3")
        },
    )
    ids = Counter(answer[0] for rows in answers.values() for answer in rows)
    assert len(ids) == 3 * EACH
    async with opened(place) as store:
        for conversation in range(4):
            messages = await store.between(f"u{conversation}", 1, 10_000)
            assert [message.seq for message in messages] == list(range(1, 3 * EACH // 4 + 1))
            for name in answers:
                own = [message.msg for message in messages if message.msg.startswith(name)]
                assert own == [f"{name} {n}" for n in range(conversation, EACH, 4)]


def test_epochs_from_two_processes_at_once_are_each_given_once(place: Place) -> None:
    """Each process sees the epochs of its logins rise, and together they are 1, 2, 3."""
    answers = run_together(place, {name: ["agent"] * EACH for name in ("n1", "n2")})
    assert all(epochs == sorted(epochs) for epochs in answers.values())
    assert sorted(answers["n1"] + answers["n2"]) == list(range(1, 2 * EACH + 1))


def test_processes_that_start_together_migrate_once(place: Place) -> None:
    """Three processes open an empty database at once: each script ran once, and all can write."""
    answers = run_together(place, {name: [["u1", name, name]] for name in ("n1", "n2", "n3")})
    assert sorted(rows[0][1] for rows in answers.values()) == [1, 2, 3]
    scripts = [name for (name,) in place.run("SELECT name FROM schema_migration ORDER BY name")]
    assert scripts == ["0001_chat", "0002_logins"]
    assert sorted(place.run("SELECT number FROM node")) == [(1,), (2,), (3,)]
