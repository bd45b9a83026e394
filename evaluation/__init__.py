"""Gather evidence before traffic: offline comparison and blind human judgement."""
