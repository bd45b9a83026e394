"""Speak HTTP and wire everything: the command, the data plane, the control plane."""
