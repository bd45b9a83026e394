"""What a host's processes tell of themselves: the lines of their logs."""
