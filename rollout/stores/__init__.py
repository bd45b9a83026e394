"""Where state is kept: the ledger, and how workers read snapshots from it."""
