"""Laws are tried on the same examples every time, however long each takes."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("laws", derandomize=True, database=None, deadline=None)
settings.load_profile("laws")
