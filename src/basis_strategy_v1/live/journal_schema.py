"""The tables of the journal, as steps: a journal of version n has the first n. A new version is a new step; a step is never changed."""

from __future__ import annotations

FIRST = (
    # One row: the run's identity, made at the first start.
    "CREATE TABLE journal (run TEXT NOT NULL)",
    # Each plan whole, before its first step; `memory` is the strategy's memory as text.
    """CREATE TABLE plan (
        number INTEGER PRIMARY KEY, plan TEXT NOT NULL, memory TEXT, has_ended INTEGER NOT NULL DEFAULT 0
    )""",
    # One row for each time an instruction began; the newest of a key is in force. `day` is its UTC day, `notional_usd` what it spends of
    # that day's limit, `gas_eth` what its gas has cost, `decision` what a person has decided about it. What is open is not logged.
    """CREATE TABLE entry (
        number INTEGER PRIMARY KEY, key TEXT NOT NULL, venue TEXT NOT NULL, status TEXT NOT NULL,
        instruction TEXT NOT NULL, instruction_hash TEXT NOT NULL, order_text TEXT NOT NULL, plan INTEGER, step INTEGER, parent TEXT,
        day TEXT NOT NULL, notional_usd TEXT NOT NULL, gas_eth TEXT NOT NULL DEFAULT '0', reason TEXT NOT NULL DEFAULT '',
        is_logged INTEGER NOT NULL DEFAULT 0, decision TEXT
    )""",
    "CREATE INDEX entry_of_key ON entry (key)",
    "CREATE INDEX entry_of_parent ON entry (parent) WHERE parent IS NOT NULL",
    "CREATE INDEX entry_of_plan ON entry (plan) WHERE plan IS NOT NULL",
    "CREATE INDEX entry_of_day ON entry (day)",
    "CREATE INDEX unlogged_entry ON entry (number) WHERE is_logged = 0",
    # Each attempt, before it leaves.
    """CREATE TABLE message (
        entry INTEGER NOT NULL, number INTEGER NOT NULL, venue TEXT NOT NULL, client_id TEXT NOT NULL, nonce INTEGER, expires INTEGER,
        body TEXT NOT NULL, PRIMARY KEY (entry, number)
    ) WITHOUT ROWID""",
    "CREATE INDEX message_with_nonce ON message (venue, nonce) WHERE nonce IS NOT NULL",
    # Each report, of a part or of the whole.
    """CREATE TABLE report (
        entry INTEGER NOT NULL, number INTEGER NOT NULL, report TEXT NOT NULL, PRIMARY KEY (entry, number)
    ) WITHOUT ROWID""",
    # What happened without an instruction, each once under the venue's id; and how far each venue has been read.
    """CREATE TABLE due (
        number INTEGER PRIMARY KEY, venue TEXT NOT NULL, id TEXT NOT NULL, item TEXT NOT NULL, is_logged INTEGER NOT NULL DEFAULT 0,
        UNIQUE (venue, id)
    )""",
    "CREATE INDEX unlogged_due ON due (number) WHERE is_logged = 0",
    "CREATE TABLE cursor (venue TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID",
    # One row: the account's state at the newest commit.
    "CREATE TABLE account (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL)",
)

SECOND = (
    # What the venues held at the first start beyond what belongs to the run.
    "CREATE TABLE not_ours (venue TEXT NOT NULL, token TEXT NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (venue, token)) WITHOUT ROWID",
)

THIRD = (
    # By whose order a fill is.
    "CREATE INDEX message_of_client_id ON message (client_id)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (FIRST, SECOND, THIRD)
