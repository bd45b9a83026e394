"""Carries notices to where people read them: webhooks."""
