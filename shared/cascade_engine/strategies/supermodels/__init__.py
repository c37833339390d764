"""The best supermodel at a given lambda: exact, for many models, without listing all sets.

A supermodel is a set S of models not yet run. It is worth E[max(held, max over S)] - price(S), with
prices lambda x cost and independent Gaussian qualities; what runs next is the cheapest member of
the best set (Theorem 3 of Dekoninck et al., ICML 2025). The first term is monotone and submodular:
a model never adds more to a larger set. Everything here rests on that.

- Lemma 1: a model that does not pay for itself beside a set does not beside any larger set.
- A set is worth at most any level h plus its models' gains over h, each E[(q - h)^+] - price, so a
  level at which the gains are small bounds all sets at once: most models are out by that.
- On the nodes of a quadrature worth is concave in relaxed memberships, and tangents bound it.

```
batch.py             many queries: bounds, then all sets of few candidates, else the rest
one.py               one query: the same in plain numbers, where tables cost more than their work
relaxation.py        the concave relaxation: who is surely in the best set, and who is not
branch_and_bound.py  one query whose best set that leaves open
```

Only the cheapest model of the best set is asked for, and often it is known long before the set.
"""

from cascade_engine.strategies.supermodels.batch import Problem, best_first_models
from cascade_engine.strategies.supermodels.one import best_first_model

__all__ = ["Problem", "best_first_model", "best_first_models"]
