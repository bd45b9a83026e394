"""Frames that wait in memory while the disk refuses them: in order, and never more than a number of bytes.

What does not fit is refused, not exchanged for what came before: the frames that wait stay a run without holes.
"""

from __future__ import annotations

from collections import deque

RING_BYTES = 64 * 1024 * 1024


class Ring:
    """A queue of packed frames; `limit_bytes` bounds the sum of their lengths. `kept` counts what it ever took."""

    def __init__(self, limit_bytes: int = RING_BYTES) -> None:
        self.kept = 0
        self._limit_bytes, self._waiting_bytes = limit_bytes, 0
        self._frames: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def first(self) -> bytes:
        """Return the frame that has waited longest, of at least one."""
        return self._frames[0]

    def keep(self, packed: bytes) -> bool:
        """Take a frame behind all others, or refuse it for want of room."""
        if self._waiting_bytes + len(packed) > self._limit_bytes:
            return False
        self._frames.append(packed)
        self._waiting_bytes += len(packed)
        self.kept += 1
        return True

    def drop_first(self) -> None:
        """Let go of the frame that has waited longest."""
        self._waiting_bytes -= len(self._frames.popleft())

    def close(self) -> int:
        """Let go of all frames, take no more, and return how many they were."""
        left = len(self._frames)
        self._frames.clear()
        self._limit_bytes = self._waiting_bytes = 0
        return left
