-- Question: what did the gates say, at each scheduled look and whenever they changed their mind?
-- Grain: one row per report, the latest of each rollout; ledgers made before there were gates get the table when a
-- writer opens them.
-- Parameters: none. Times are microseconds since 1970 UTC; report is JSON.

CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY,
    rollout TEXT NOT NULL,
    at INTEGER NOT NULL,
    report TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS reports_by_rollout ON reports (rollout, number);
