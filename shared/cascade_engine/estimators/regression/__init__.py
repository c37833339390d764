"""The regressions that estimators are made of; nothing here is public.

`logistic` has the penalised logistic regression that all others use. `blocks` copes with signals
that may be unknown, and `pooling` with the answers of several models: they are the stages of a
`CombinedEstimator`. `ridge` is for strategies that learn values.
"""
