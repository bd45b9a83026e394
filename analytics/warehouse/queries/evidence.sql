-- question: none; the tables of `evidence.duckdb`, as they are made once
-- grain: see each; times are TIMESTAMP in UTC, shares of a user's figures BIGINT, so that sums do not depend on their order:
--   satisfaction in quarters of a point, the net score in halves, cost in picodollars
-- parameters: {measures}, the columns that add up, with their type
CREATE TABLE evidence_version (version INTEGER);
-- the steps that are followed; a check without thresholds has NULL, and no row enters
CREATE TABLE evidence_step (
    id INTEGER, rollout VARCHAR, generation INTEGER, step INTEGER, percent DECIMAL(5, 2), started_at TIMESTAMP,
    day_us BIGINT, rating VARCHAR,
    p50_q0 DOUBLE, p50_limit DOUBLE, p99_q0 DOUBLE, p99_limit DOUBLE, ttft_q0 DOUBLE, ttft_limit DOUBLE
);
CREATE TABLE evidence_user (
    step_id INTEGER, arm VARCHAR, user_hash BLOB, first_at TIMESTAMP, last_at TIMESTAMP, {measures}
);
-- day: days of the step's length since 1970
CREATE TABLE evidence_user_day (step_id INTEGER, arm VARCHAR, user_hash BLOB, day BIGINT, {measures});
-- a user's last failure of each kind: who failed in the present hour failed last in it
CREATE TABLE evidence_failure (step_id INTEGER, arm VARCHAR, kind VARCHAR, user_hash BLOB, last_at TIMESTAMP);
-- gate rows by the time they began, in slots of a second, of the last days alone
CREATE TABLE evidence_slot (step_id INTEGER, arm VARCHAR, slot TIMESTAMP, requests BIGINT);
-- rows of the rollout from five minutes after the step's start on, and those of them with another percent
CREATE TABLE evidence_mixed (step_id INTEGER, settled BIGINT, mixed BIGINT);
-- the numbers of the step's first and last row of each boot, and when the last began
CREATE TABLE evidence_boot (
    step_id INTEGER, worker VARCHAR, boot VARCHAR, first_seq BIGINT, last_seq BIGINT, last_at TIMESTAMP
);
-- the boots that were heard of: up to where their requests were in the lake, and when they were heard of first and last
CREATE TABLE evidence_worker (
    host VARCHAR, worker VARCHAR, boot VARCHAR, settled_to BIGINT, first_at TIMESTAMP, beat_at TIMESTAMP
);
-- what each boot had lost when the step was looked at first; boot NULL: the step was
CREATE TABLE evidence_loss (
    rollout VARCHAR, generation INTEGER, step INTEGER, host VARCHAR, worker VARCHAR, boot VARCHAR, lost BIGINT
);
-- the verdict that counts for a request
CREATE TABLE evidence_rated (
    request_id UUID, step_id INTEGER, arm VARCHAR, user_hash BLOB, day BIGINT, is_ok BOOLEAN,
    received_at TIMESTAMP, feedback_id UUID, kind VARCHAR, score BIGINT
);
-- verdicts whose request was not found yet; is_looked_for: nor in any file that was folded before them
CREATE TABLE evidence_waiting (
    feedback_id UUID, received_at TIMESTAMP, application VARCHAR, request_id UUID, response_id VARCHAR,
    kind VARCHAR, score BIGINT, added_at TIMESTAMP, is_looked_for BOOLEAN
);
-- gate rows of the last hour, which most verdicts are about
CREATE TABLE evidence_recent (
    request_id UUID, response_id VARCHAR, application VARCHAR, started_at TIMESTAMP,
    step_id INTEGER, arm VARCHAR, user_hash BLOB, day BIGINT, is_ok BOOLEAN
);
-- which rows were folded: numbers without a hole between, of requests and of feedback
CREATE TABLE evidence_seen (kind VARCHAR, worker VARCHAR, boot VARCHAR, first_seq BIGINT, last_seq BIGINT);
-- which files were, and between which ids their rows are
CREATE TABLE evidence_file (kind VARCHAR, name VARCHAR, first_id UUID, last_id UUID);
-- erasures that the sums follow, as they stood then; the hash is kept while the erasure stands
CREATE TABLE evidence_erasure (
    id VARCHAR, user_hash BLOB, asked_at TIMESTAMP, files BIGINT, requests BIGINT, looked_at BIGINT, is_pending BOOLEAN
);
