"""`turnout serve`: start, supervise and end the processes of one host."""
