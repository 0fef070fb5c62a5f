-- Version 1: messages, recipients and their history; segments of bodies; counters.
-- Times are milliseconds of the Unix epoch. A seal is the first half of the SHA-256 over its row.

CREATE TABLE schema_history (
  version    INTEGER PRIMARY KEY,
  applied_at INTEGER NOT NULL,
  up         TEXT NOT NULL,
  down       TEXT NOT NULL
) STRICT;

CREATE TABLE messages (
  id          INTEGER PRIMARY KEY,
  state       TEXT NOT NULL CHECK (state IN
    ('waiting', 'claimed', 'suspect', 'held', 'removed', 'settled', 'damaged')),
  mailbox     TEXT NOT NULL,
  due         INTEGER NOT NULL,  -- next attempt, lease's end, release, end of undo, settling; by state
  reason      TEXT NOT NULL,
  sender      TEXT NOT NULL,     -- reverse-path, empty for <>
  accepted_at INTEGER NOT NULL,
  octets      INTEGER NOT NULL,
  recipients  INTEGER NOT NULL,
  attempts    INTEGER NOT NULL,
  fence       INTEGER NOT NULL,
  seat        TEXT,              -- the process that holds the claim
  started_at  INTEGER,           -- of the running attempt
  segment     INTEGER,           -- NULL once the body is gone
  place       INTEGER NOT NULL,  -- of the record's head in the segment
  undo_until  INTEGER,
  digest      BLOB NOT NULL,     -- SHA-256 of the body
  envelope    TEXT NOT NULL,     -- JSON, versioned
  memo        TEXT NOT NULL,
  seal        BLOB NOT NULL
) STRICT;

CREATE INDEX messages_waiting ON messages (mailbox, due) WHERE state = 'waiting';
CREATE INDEX messages_others ON messages (state, due) WHERE state <> 'waiting';

CREATE TABLE recipients (
  message    INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  path       TEXT NOT NULL,
  options    TEXT NOT NULL,      -- JSON, versioned; empty without DSN options
  state      TEXT NOT NULL CHECK (state IN
    ('waiting', 'suspect', 'held', 'accepted', 'refused', 'removed')),
  due        INTEGER NOT NULL,
  reason     TEXT NOT NULL,
  dot_at     INTEGER,            -- the final dot was about to go out
  changed_at INTEGER NOT NULL,
  status     TEXT NOT NULL,
  reply      TEXT NOT NULL,
  seal       BLOB NOT NULL,
  PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
  message    INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER NOT NULL,
  route      TEXT NOT NULL,
  report     TEXT NOT NULL,      -- JSON, versioned
  PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  message INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  kind    TEXT NOT NULL,
  text    TEXT NOT NULL,
  PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
  state    TEXT NOT NULL,
  mailbox  TEXT NOT NULL,
  reason   TEXT NOT NULL,
  messages INTEGER NOT NULL,
  octets   INTEGER NOT NULL,
  PRIMARY KEY (state, mailbox, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  seat        TEXT NOT NULL,
  open        INTEGER NOT NULL,  -- 1 while its process may append
  octets      INTEGER NOT NULL,  -- of committed records with their heads
  live        INTEGER NOT NULL,  -- messages whose body is needed
  live_octets INTEGER NOT NULL
) STRICT;

CREATE TABLE seats (
  seat      TEXT PRIMARY KEY,
  opened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
  key     TEXT PRIMARY KEY,
  message INTEGER NOT NULL,
  at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_at ON keys (at);

CREATE TABLE notes (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL,
  at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO marks (name, value) VALUES ('last_id', 0);
