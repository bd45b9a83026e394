-- Question: what did the gates say, at each scheduled look and whenever they changed their mind?
-- Grain: one row per report, the latest of each rollout; in `baselines` one per rollout that reached 100 %, with its base
-- as it was before. Ledgers made before there were gates get the tables when a writer opens them.
-- Parameters: none. Times are microseconds since 1970 UTC; report and baseline are JSON.

CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY,
    rollout TEXT NOT NULL,
    at INTEGER NOT NULL,
    report TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS reports_by_rollout ON reports (rollout, number);

CREATE TABLE IF NOT EXISTS baselines (
    rollout TEXT PRIMARY KEY,
    baseline BLOB NOT NULL
) WITHOUT ROWID;
