"""The data plane: one worker's way from a caller's request to an upstream and back. It proxies and appends records."""
