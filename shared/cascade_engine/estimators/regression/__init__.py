"""The regressions that estimators are made of; nothing here is public.

`logistic` has the penalised logistic regression that all others use. `query_regression` fits one
per model on features of the query. `blocks` copes with signals that may be unknown, and `pooling`
with the answers of several models: they are the stages of a `CombinedEstimator`. `ridge` is for
strategies that learn values.
"""
