"""The lake: Parquet files of settled requests, written from the journals exactly once, and their verification."""
