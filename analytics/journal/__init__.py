"""The crash-safe, append-only log of one worker: segments of checksummed frames, their writer, reader and recovery."""
