"""Handlers: parse, call, answer, nothing more. Each route names the roles that may call it; no roles, no entry."""
