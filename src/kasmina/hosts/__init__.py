"""Hosts of ours: ordinary modules that know nothing of slots."""
