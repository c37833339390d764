"""The best supermodel at a given lambda: exact, for many models, without listing all sets.

A set S of models is worth E[max(held, max over S)] - price(S), with prices lambda x cost and
independent Gaussian qualities. The first term is monotone and submodular, which everything here
rests on, Lemma 1 of Dekoninck et al. (ICML 2025) among it.

```
many.py, one.py   bounds in closed form leave few candidates, often one: many queries, or one
listing.py        all sets of few candidates, at the nodes of a quadrature
relaxation.py     of many candidates, a concave relaxation settles all but a few
branching.py      where it does not, branch and bound by it
limited.py        branch and bound where the size of the sets is limited
```
"""

from cascade_engine.strategies.supermodels.listing import Problem
from cascade_engine.strategies.supermodels.many import best_first_models
from cascade_engine.strategies.supermodels.one import best_first_model

__all__ = ["Problem", "best_first_model", "best_first_models"]
