"""Boards: what is on them, the link to them, their bitstreams, and the proof of these."""
