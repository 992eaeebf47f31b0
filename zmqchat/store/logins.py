"""The logins of a batch: who takes the next epoch. And reading who logged in last.

A batch is done as if its drafts came before its logins. A login that goes on with an earlier one
takes an epoch only while nobody else has logged in since; see `ports.Logins`.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zmqchat.core.logins import Login
from zmqchat.store import models
from zmqchat.store.dialect import Cursor, NewLogin, Statements
from zmqchat.store.jobs import LogIn
from zmqchat.store.readers import Readers

_USERS_AT_ONCE = 500  # in one query


def newest_logins(cursor: Cursor, statements: Statements, users: Iterable[str]) -> dict[str, Login]:
    """Read the newest logins of users, and hold them until the end of the transaction."""
    names = sorted(set(users))
    return {login.user: login for login in statements.logins(cursor, names)} if names else {}


def take_epochs(
    cursor: Cursor, statements: Statements, jobs: Sequence[LogIn], newest: Mapping[str, Login]
) -> list[Login]:
    """Do logins in their order, and answer each as `ports.Logins.log_in` does.

    ``newest`` are the newest logins until now, at least of those who go on with one.
    """
    sessions = {user: login.session for user, login in newest.items()}
    granted = []
    for job in jobs:
        if job.continues and sessions.get(job.user, job.session) != job.session:
            continue
        sessions[job.user] = job.session
        granted.append(job)
    rows = [NewLogin(job.user, job.session, job.node, job.incarnation) for job in granted]
    statements.log_in(cursor, sorted(rows, key=lambda row: row.user))
    after = newest_logins(cursor, statements, (job.user for job in jobs))
    later: Counter[str] = Counter()  # the last login of a user has the epoch that is there now
    epochs = {}
    for job in reversed(granted):
        epochs[id(job)] = after[job.user].epoch - later[job.user]
        later[job.user] += 1
    return [
        Login(job.user, epochs[id(job)], job.session, job.node)
        if id(job) in epochs
        else after[job.user]
        for job in jobs
    ]


async def read_logins(readers: Readers, users: Iterable[str]) -> list[Login]:
    """Read the newest logins of users, in the readers' threads."""
    columns = (
        models.Login.user,
        models.Login.login_epoch,
        models.Login.session,
        models.Login.node,
    )

    def read(some: list[str]) -> list[Login]:
        query = models.Login.select(*columns).where(models.Login.user.in_(some)).tuples()
        rows: Any = query.bind(readers.database)
        return [Login(*row) for row in rows]

    names, found = iter(users), []
    while some := list(itertools.islice(names, _USERS_AT_ONCE)):
        found += await readers.run(functools.partial(read, some))
    return found
