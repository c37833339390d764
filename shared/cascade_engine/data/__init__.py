"""What models answered to queries: asked for, logged, labelled, kept in files.

`collect` asks every model every query and returns a `Collection`; `Collection.from_traces` and the
readers of `data.importers` make one of what was answered already. Its `dataset` labels the answers,
by references, a judge, agreement or people's feedback, and gives the `CascadeDataset` that a router
is fitted on. A `TraceLog` keeps what a router decided and answered live.
"""

from __future__ import annotations

from cascade_engine.data.collection import Collection, Missing, acollect, collect
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.data.judge_labels import Judge, Judgement
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces

__all__ = [
    "CascadeDataset",
    "Collection",
    "Judge",
    "Judgement",
    "LoggedTrace",
    "Missing",
    "TraceLog",
    "acollect",
    "collect",
    "read_traces",
]
