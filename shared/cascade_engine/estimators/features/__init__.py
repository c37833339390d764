"""Numbers read off texts and answers, which regressions and neighbours learn from.

`query_text` reads a query's shape and words, `vectors` places texts by similarity, `logprobs` sums
up an answer's token log-probabilities.
"""

from cascade_engine.estimators.features.query_text import QueryFeatures
from cascade_engine.estimators.features.vectors import Embedder

__all__ = ["Embedder", "QueryFeatures"]
