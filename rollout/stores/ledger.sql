-- Question: what is the state of every flag and key, and how did it come to be so?
-- Grain: one row of `state`; one of `rollouts` per rollout ever configured; one of `keys` per key ever made; one of
-- `audit` per change; one of `snapshots` per compiled version, the latest few. `reports.sql` adds the gates' reports.
-- Parameters: none. Times are microseconds since 1970 UTC; flag, key, before and after are JSON.

CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    definitions TEXT NOT NULL,
    audit_count INTEGER NOT NULL,
    audit_head TEXT NOT NULL
);

CREATE TABLE rollouts (
    name TEXT PRIMARY KEY,
    held TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    kept TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    rollout TEXT,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    reason TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE INDEX audit_by_rollout ON audit (rollout, number);

CREATE TRIGGER audit_is_never_altered BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit entries are never altered');
END;

CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit entries are never deleted');
END;

CREATE TABLE snapshots (
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (epoch, version)
) WITHOUT ROWID;
