-- The outbox: what was announced, and for each webhook that is to be told whether it was.
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL UNIQUE,
    notice TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL REFERENCES notices (identity) ON DELETE CASCADE,
    webhook TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    is_over INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS waiting ON deliveries (webhook) WHERE NOT is_over;
CREATE TABLE IF NOT EXISTS remembered (name TEXT PRIMARY KEY, text TEXT NOT NULL);
