"""Where a percent may come from beside the ledger: flags that somebody else rules."""
