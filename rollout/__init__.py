"""Decide: who gets which arm, and why."""
