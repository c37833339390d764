"""Recorded data that comes with the library."""
