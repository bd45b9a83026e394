from __future__ import annotations

import duckdb

from analytics.warehouse.adding import put


def test_rows_that_are_there_are_changed_and_others_inserted():
    with duckdb.connect(":memory:") as connection:
        connection.execute("CREATE TABLE evidence_kept AS SELECT 1 AS id, 'a' AS arm, 10 AS n")
        connection.execute("CREATE TABLE gained AS SELECT * FROM (VALUES (1, 'a', 5), (1, 'b', 7)) AS rows(id, arm, n)")

        put(connection, "kept", "gained", ("id", "arm"), "n = known.n + gained.n")

        assert connection.execute("FROM evidence_kept ORDER BY arm").fetchall() == [(1, "a", 15), (1, "b", 7)]
