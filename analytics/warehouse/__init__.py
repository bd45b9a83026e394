"""DuckDB over the lake: the only place that asks questions of what was recorded. SQL counts, Python concludes."""
