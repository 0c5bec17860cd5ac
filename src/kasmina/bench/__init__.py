"""Paired timings and peak memory: the tools of ``kasmina bench`` and of the studies."""
