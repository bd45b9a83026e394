"""Everything an installation is told: its file, its environment, its secrets, and the snapshot they compile to."""
