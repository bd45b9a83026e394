"""The simulated model server: an OpenAI-compatible upstream that people try rollouts with, and the traces it is fed."""
