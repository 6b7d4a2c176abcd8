-- ledger.db, format 1. Everything but record, log_node and checkpoint is a cache of the log or a convenience.
CREATE TABLE record (
    seq           INTEGER PRIMARY KEY,
    leaf          BLOB    NOT NULL CHECK (length(leaf) = 32),
    sealed_digest BLOB    CHECK (length(sealed_digest) = 32),
    record_id     BLOB    NOT NULL CHECK (length(record_id) = 16),
    kind          INTEGER NOT NULL,
    recorded_at   INTEGER NOT NULL,
    event_time    INTEGER,
    partition     INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    member        BLOB    CHECK (length(member) = 16),
    event_id      TEXT,
    outcome       INTEGER,
    reason        INTEGER,
    segment       TEXT,
    reward        TEXT,
    touchpoint    INTEGER,
    bundle        BLOB    CHECK (length(bundle) = 32),
    models        BLOB    CHECK (length(models) = 32),
    semantics     INTEGER NOT NULL,
    debits        TEXT,
    body          TEXT,
    sealed        BLOB
) STRICT;
CREATE UNIQUE INDEX record_by_id ON record (record_id);
CREATE UNIQUE INDEX record_by_event ON record (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX record_by_member ON record (member) WHERE member IS NOT NULL;
CREATE INDEX record_by_segment ON record (segment, outcome) WHERE segment IS NOT NULL;
CREATE INDEX record_by_kind ON record (kind) WHERE kind NOT IN (10, 11);

CREATE TABLE log_node (
    level INTEGER NOT NULL CHECK (level > 0 AND level % 8 = 0),
    idx   INTEGER NOT NULL,
    hash  BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    root BLOB    NOT NULL CHECK (length(root) = 32),
    time INTEGER NOT NULL,
    note TEXT    NOT NULL
) STRICT;

CREATE TABLE budget (
    id           TEXT    PRIMARY KEY,
    limit_micros INTEGER NOT NULL,
    reserved     INTEGER NOT NULL CHECK (reserved >= 0),
    committed    INTEGER NOT NULL CHECK (committed >= 0),
    as_of        INTEGER NOT NULL,
    CHECK (reserved + committed <= limit_micros)
) STRICT, WITHOUT ROWID;

CREATE TABLE member_state (
    member   BLOB    NOT NULL UNIQUE CHECK (length(member) = 16),
    as_of    INTEGER NOT NULL,
    next_due INTEGER,
    state    BLOB    NOT NULL
) STRICT;
CREATE INDEX member_state_by_due ON member_state (next_due) WHERE next_due IS NOT NULL;

CREATE TABLE counter (
    kind    INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    reason  INTEGER NOT NULL,
    rows    INTEGER NOT NULL,
    PRIMARY KEY (kind, outcome, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE relay_position (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE code (field TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (field, number)) STRICT, WITHOUT ROWID;

CREATE TRIGGER record_refuses_update BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'record is append-only: update refused'); END;
CREATE TRIGGER record_refuses_delete BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'record is append-only: delete refused'); END;
-- REPLACE deletes without asking the triggers above unless recursive_triggers is on, which another tool may not set.
CREATE TRIGGER record_refuses_known BEFORE INSERT ON record
BEGIN
    SELECT RAISE(ABORT, 'record is append-only: seq must be the next one')
     WHERE NEW.seq IS NOT (SELECT ifnull(max(seq), 0) + 1 FROM record);
    SELECT RAISE(ABORT, 'record is append-only: known record id')
     WHERE EXISTS (SELECT 1 FROM record WHERE record_id = NEW.record_id);
    SELECT RAISE(ABORT, 'record is append-only: known event id')
     WHERE EXISTS (SELECT 1 FROM record WHERE event_id = NEW.event_id);
END;

CREATE TRIGGER log_node_refuses_update BEFORE UPDATE ON log_node
BEGIN SELECT RAISE(ABORT, 'log_node is append-only: update refused'); END;
CREATE TRIGGER log_node_refuses_delete BEFORE DELETE ON log_node
BEGIN SELECT RAISE(ABORT, 'log_node is append-only: delete refused'); END;
CREATE TRIGGER log_node_refuses_known BEFORE INSERT ON log_node
WHEN EXISTS (SELECT 1 FROM log_node WHERE level = NEW.level AND idx = NEW.idx)
BEGIN SELECT RAISE(ABORT, 'log_node is append-only: known node'); END;

CREATE TRIGGER checkpoint_refuses_update BEFORE UPDATE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: update refused'); END;
CREATE TRIGGER checkpoint_refuses_delete BEFORE DELETE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: delete refused'); END;
CREATE TRIGGER checkpoint_refuses_known BEFORE INSERT ON checkpoint
WHEN NEW.size <= (SELECT ifnull(max(size), 0) FROM checkpoint)
BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: size must grow'); END;
