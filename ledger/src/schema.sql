-- ledger.db, format 1; what later formats add is in schema_2.sql and schema_3.sql. Everything but record, log_node and checkpoint is a cache of the log or a convenience.
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
CREATE INDEX record_by_segment ON record (segment, outcome) WHERE segment IS NOT NULL;
CREATE INDEX record_by_kind ON record (kind) WHERE kind NOT IN (10, 11);

-- Rows by event and by member: hashes in slices that take turns to be written, see index.rs.
CREATE TABLE event_index (hash INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE member_index (hash INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE index_slice (slice INTEGER PRIMARY KEY, through INTEGER NOT NULL) STRICT;
CREATE TABLE recent (last INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;

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

-- Stable views for other tools. Times are microseconds since 1970, money is micros, ids are lower-case hex.
CREATE VIEW v_decisions AS
SELECT r.seq, lower(hex(r.record_id)) AS decision_id, r.recorded_at, r.event_time, lower(hex(r.member)) AS member, r.event_id,
       o.name AS outcome, w.name AS reason, r.segment, r.reward, t.name AS touchpoint, lower(hex(r.bundle)) AS bundle,
       lower(hex(r.models)) AS models, r.semantics, r.epoch, r.body ->> '$.cost' AS cost, r.body ->> '$.best_net' AS best_net,
       r.body ->> '$.chosen_net' AS chosen_net, r.body ->> '$.cause' AS cause, r.body ->> '$.table' AS price_table,
       r.body ->> '$.explored' AS explored, r.body ->> '$.propensity' AS propensity
  FROM record r
  LEFT JOIN code o ON o.field = 'outcome' AND o.number = r.outcome
  LEFT JOIN code w ON w.field = 'reason' AND w.number = r.reason
  LEFT JOIN code t ON t.field = 'touchpoint' AND t.number = r.touchpoint
 WHERE r.kind = 11;
CREATE VIEW v_candidates AS
SELECT r.seq, lower(hex(r.record_id)) AS decision_id, c.value ->> 0 AS reward_index, w.name AS reason,
       nullif(c.value ->> 2, 0) - 1 AS rule
  FROM record r JOIN json_each(r.body, '$.candidates') c
  LEFT JOIN code w ON w.field = 'reason' AND w.number = c.value ->> 1
 WHERE r.kind = 11;
CREATE VIEW v_certificates AS
SELECT seq, lower(hex(record_id)) AS certificate_id, recorded_at, epoch, body FROM record WHERE kind = 20;
CREATE VIEW v_outcomes AS
SELECT r.seq, lower(hex(r.record_id)) AS outcome_id, r.recorded_at, r.event_time, lower(hex(r.member)) AS member, r.event_id,
       r.segment, r.reward, w.name AS reason, r.body
  FROM record r LEFT JOIN code w ON w.field = 'reason' AND w.number = r.reason
 WHERE r.kind = 13;
CREATE VIEW v_budgets AS
SELECT id, limit_micros, reserved, committed, limit_micros - reserved - committed AS free, as_of FROM budget;
