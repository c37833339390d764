"""The formats of data sets: JSONL, Parquet and pandas frames.

Each module turns the arguments of a `CascadeDataset` into its format and back, and does not know
the class: `CascadeDataset.save`, `load`, `to_pandas` and `from_pandas` choose among them. Parquet
and frames share the table of `flat_table`.
"""
