"""The machinery of `collect`, which is in `data.collection`.

`job` makes calls in threads or in tasks and tries failed ones again, `ledger` knows which call is
next within the limits and counts what was spent, and `journal` keeps each finished call on disk.
"""
