"""What a host's processes tell of themselves: the lines of their logs, and measures of what the journal records."""
