"""Bytes on disk: how values, records, objects and arrays are written, and read again.

`json_values` is the one codec; `json_records` writes dataclasses by it, and `json_objects` whole
fitted routers, whose classes `registry` knows by name: `persistent` registers a class of your own.
`arrays_file` holds arrays, `folder` an object with its arrays, and `files` what all files need:
written whole or not at all, by one writer at a time. Nothing that is read is ever run.
"""

from cascade_engine.storage.registry import persistent

__all__ = ["persistent"]
