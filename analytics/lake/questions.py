"""What is being asked of a store on connections of DuckDB, so that whoever ends can break it off.

The law: a connection is taken out before it is closed, so no other thread touches one that is gone.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


class Questions:
    """The connections on which something may be asked; any thread may call."""

    def __init__(self) -> None:
        self._connections: list[duckdb.DuckDBPyConnection] = []
        self._lock = Lock()

    def add(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let what is asked on a connection be broken off from now on."""
        with self._lock:
            self._connections.append(connection)

    def remove(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Leave a connection alone: it is about to be closed."""
        with self._lock:
            self._connections = [one for one in self._connections if one is not connection]

    def break_off(self) -> None:
        """End the statements that run now by an error; the next ones begin as ever."""
        with self._lock:
            for one in self._connections:
                one.interrupt()
