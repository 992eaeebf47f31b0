"""One batch of writes: what its transaction says to the database, and the answer to every job.

Knows nothing of threads, time and trying again: it is handed a cursor in a transaction that
somebody else begins and commits, and is made anew for every try. Answers stand in the order of
the jobs, and hold only once the transaction is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from zmqchat.core.logins import Login
from zmqchat.errors import ErrorCode, Refused
from zmqchat.store.dialect import Cursor, Head, HeadRise, Key, Marks, NewRow, Statements
from zmqchat.store.ids import id_text
from zmqchat.store.jobs import Append, Job, LogIn, Mark
from zmqchat.store.logins import newest_logins, take_epochs
from zmqchat.store.models import KIND_TEXT
from zmqchat.store.ports import Draft, Outcome, Side, Stored
from zmqchat.wire.client import Message, iso_time

Answer = Outcome | Login | int | None


class Batch:
    """The jobs of one transaction, sorted by what they need."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.answers: list[Answer] = [None] * len(jobs)
        self.stored = 0
        self.duplicates = 0
        self.refused = 0
        # Each job stands with its place among the jobs.
        self._fresh: list[tuple[int, Append]] = []
        self._copies: list[tuple[int, Append, Key]] = []  # of a draft that stands further ahead
        self._marks: list[tuple[int, Mark]] = []
        self._logins: list[tuple[int, LogIn]] = []
        self._first: dict[Key, int] = {}
        self._known: dict[Key, Message] = {}  # what the database had under these keys
        self._added: dict[str, list[int]] = {}  # by conversation: messages, those by the desk
        for place, job in enumerate(jobs):
            if isinstance(job, Append):
                self._fresh.append((place, job))
            elif isinstance(job, Mark):
                self._marks.append((place, job))
            else:
                self._logins.append((place, job))

    def write(
        self, cursor: Cursor, statements: Statements, now_ms: int, *, tried_before: bool
    ) -> None:
        """Store what is new and find the answer to every job; let the database's errors out."""
        if tried_before:
            self._find_own(cursor, statements)
        self._log_in(cursor, statements)
        self._set_copies_aside()
        if self._first:
            self._find_known(cursor, statements)
        rises = self._rises(now_ms)
        customers = sorted({mark.conversation for _, mark in self._marks} | self._added.keys())
        if self._marks:
            statements.hold(cursor, customers)
        if rises:
            statements.raise_heads(cursor, rises)
        heads = {head.customer: head for head in statements.heads(cursor, customers)}
        self._insert(cursor, statements, heads, now_ms)
        self._move_marks(cursor, statements, heads)
        for place, job, key in self._copies:
            self._answer_again(place, job.draft, self._message_of(key))

    def _find_own(self, cursor: Cursor, statements: Statements) -> None:
        """Recognise what an earlier try stored whose commit was made but never answered."""
        rows = {row.id: row for row in statements.by_id(cursor, [job.id for _, job in self._fresh])}
        for place, job in self._fresh:
            row, draft = rows.get(job.id), job.draft
            # An id alone proves little: another node that runs under our name makes the same.
            if row is not None and (row.conversation, row.author, row.client_id, row.msg) == (
                draft.conversation,
                draft.author,
                draft.client_id,
                draft.msg,
            ):
                self.answers[place] = Stored(row.to_message(), duplicate=False)
                self.stored += 1
        self._drop_answered()

    def _log_in(self, cursor: Cursor, statements: Statements) -> None:
        """Refuse what authors wrote before they logged in again, then take the new logins."""
        fenced = [
            (place, job.draft) for place, job in self._fresh if job.draft.login_epoch is not None
        ]
        if not (fenced or self._logins):
            return
        asked = [draft.author for _, draft in fenced]
        asked += [login.user for _, login in self._logins]
        newest = newest_logins(cursor, statements, asked)
        for place, draft in fenced:
            login = newest.get(draft.author)
            if login is not None and login.epoch > (draft.login_epoch or 0):
                text = f"{draft.author!r} has logged in elsewhere since"
                self.answers[place] = Refused(ErrorCode.SUPERSEDED, text, draft.client_id)
                self.refused += 1
        self._drop_answered()
        if self._logins:
            logins = take_epochs(cursor, statements, [job for _, job in self._logins], newest)
            for (place, _), login in zip(self._logins, logins, strict=True):
                self.answers[place] = login

    def _set_copies_aside(self) -> None:
        """Keep one draft of each key, the first, among the fresh ones."""
        drafts, self._fresh = self._fresh, []
        for place, job in drafts:
            draft = job.draft
            if draft.client_id is not None:
                key = (draft.conversation, draft.author, draft.client_id)
                if self._first.setdefault(key, place) != place:
                    self._copies.append((place, job, key))
                    continue
            self._fresh.append((place, job))

    def _find_known(self, cursor: Cursor, statements: Statements) -> None:
        rows = statements.by_key(cursor, list(self._first))
        if not rows:
            return
        for row in rows:
            self._known[row.conversation, row.author, row.client_id or ""] = row.to_message()
        for place, job in self._fresh:
            draft = job.draft
            message = self._known.get((draft.conversation, draft.author, draft.client_id or ""))
            if message is not None:
                self._answer_again(place, draft, message)
        self._drop_answered()

    def _drop_answered(self) -> None:
        self._fresh = [(place, job) for place, job in self._fresh if self.answers[place] is None]

    def _rises(self, now_ms: int) -> list[HeadRise]:
        """Count the new messages by conversation, sorted: all nodes lock them in one order."""
        added = self._added
        for _, job in self._fresh:
            draft = job.draft
            counts = added.get(draft.conversation)
            if counts is None:
                added[draft.conversation] = [1, int(draft.by_desk)]
            else:
                counts[0] += 1
                counts[1] += draft.by_desk
        return [
            HeadRise(
                customer,
                messages,
                customer_read=messages if by_desk == 0 else 0,
                desk_read=messages if by_desk == messages else 0,
                now_ms=now_ms,
            )
            for customer, (messages, by_desk) in sorted(added.items())
        ]

    def _insert(
        self, cursor: Cursor, statements: Statements, heads: dict[str, Head], now_ms: int
    ) -> None:
        if not self._fresh:
            return
        newest = {
            customer: [heads[customer].id, heads[customer].last_seq - messages]
            for customer, (messages, _) in self._added.items()
        }
        create_time = iso_time(now_ms)
        rows: list[NewRow] = []
        for place, job in self._fresh:
            draft = job.draft
            head = newest[draft.conversation]
            seq = head[1] = head[1] + 1
            rows.append(
                (
                    job.id,
                    head[0],
                    seq,
                    draft.author,
                    draft.client_id,
                    draft.sender,
                    draft.receiver,
                    draft.agent,
                    draft.msg,
                    now_ms,
                )
            )
            message = Message(
                id_text(job.id),
                seq,
                draft.conversation,
                draft.sender,
                draft.receiver,
                draft.agent,
                draft.msg,
                create_time,
                draft.client_id,
                KIND_TEXT,
            )
            self.answers[place] = Stored(message, False)
        statements.insert(cursor, rows)
        self.stored += len(rows)

    def _move_marks(self, cursor: Cursor, statements: Statements, heads: dict[str, Head]) -> None:
        moved: dict[str, Marks] = {}
        for place, mark in self._marks:
            head = heads.get(mark.conversation)
            if head is None:
                continue
            marks = moved.get(head.customer) or Marks(
                head.customer_read_seq, head.desk_read_seq, head.id
            )
            seq = self._reach(mark, head)
            field = _FIELD_OF[mark.side]
            if seq > getattr(marks, field):
                moved[head.customer] = marks._replace(**{field: seq})
                self.answers[place] = seq
        if moved:
            statements.set_marks(cursor, list(moved.values()))

    def _reach(self, mark: Mark, head: Head) -> int:
        """How far a mark may go: to the head as its reader knew it, without this batch.

        Who has read all of that and wrote everything this batch adds has read that, too.
        """
        messages, by_desk = self._added.get(head.customer, (0, 0))
        known_head = head.last_seq - messages
        own = by_desk == (messages if mark.side is Side.DESK else 0)
        return head.last_seq if own and mark.seq >= known_head else min(mark.seq, known_head)

    def _message_of(self, key: Key) -> Message:
        if key in self._known:
            return self._known[key]
        # Not known before, so stored by this batch.
        return cast("Stored", self.answers[self._first[key]]).message

    def _answer_again(self, place: int, draft: Draft, message: Message) -> None:
        """Answer a draft whose key stands for a message already."""
        if message.msg == draft.msg:
            self.answers[place] = Stored(message, duplicate=True)
            self.duplicates += 1
        else:
            text = f"client id {draft.client_id!r} stands for another text already"
            self.answers[place] = Refused(ErrorCode.CLIENT_ID_REUSED, text, draft.client_id)
            self.refused += 1


_FIELD_OF = {Side.CUSTOMER: "customer_read_seq", Side.DESK: "desk_read_seq"}
