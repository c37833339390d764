"""What is expected of Gaussian qualities: the numerics that strategies decide by.

An answer not yet bought is believed to be of a Gaussian quality, whose mean is the estimate and
whose standard deviation says how far the answer may move it. Everything that strategies ask of such
beliefs is one of two things: what the best of several answers will be worth, E[max], and at which
held quality asking is no longer worth its price, the reservation value.

```
expected_max.py   E[max] of all subsets or prefixes of the models; E[(q - level)^+]
independent.py    of independent qualities: closed forms up to three, quadrature for more
covariance.py     of correlated ones: averages over fixed points; checks of covariances
quadrature.py     nodes and weights for integrals of products of Gaussian CDFs
reservation.py    reservation values, for arrays and for one decision
```
"""

from cascade_engine.strategies.gaussian.covariance import check_covariance
from cascade_engine.strategies.gaussian.expected_max import (
    expected_excess,
    expected_max_prefixes,
    expected_max_subsets,
    expected_max_two,
)
from cascade_engine.strategies.gaussian.reservation import reservation_values

__all__ = [
    "check_covariance",
    "expected_excess",
    "expected_max_prefixes",
    "expected_max_subsets",
    "expected_max_two",
    "reservation_values",
]
