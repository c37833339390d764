"""What a comparison of fresh queries with those of a fit has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cascade_engine.evaluation.tables import in_columns

__all__ = ["Drift", "FeatureDrift"]


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature of fresh queries against that of the fitting data.

    Attributes:
        name: of the feature.
        reference: readings in the fitting data.
        fresh: readings in fresh queries.
        rise: fresh mean less the reference's, in standard deviations of the reference; 0 where
            that has none.
        psi: population stability index over ten bins with equally many reference readings: by
            custom below 0.1 little has changed, and above 0.25 much. For estimates the square of
            `rise`, which is the index of two normal distributions that are so far apart.
        p_value: of the two-sample Kolmogorov-Smirnov test; for shares of the test of two
            proportions, for estimates of that of two means; as it is.
        adjusted: the same, for all features together (Holm).
        moved: whether the change is more than chance and more than little.
    """

    name: str
    reference: int
    fresh: int
    rise: float
    psi: float
    p_value: float
    adjusted: float
    moved: bool

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Drift:
    """What `drift` found.

    Attributes:
        features: all that were compared, the most moved first.
        queries: number of fresh queries.
        verdict: the finding in words.
    """

    features: tuple[FeatureDrift, ...]
    queries: int
    verdict: str

    @property
    def drifted(self) -> bool:
        """Whether any feature moved."""
        return bool(self.moved)

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the features that moved."""
        return tuple(feature.name for feature in self.features if feature.moved)

    def table(self) -> str:
        """A line for each feature."""
        rows = [
            (
                f.name,
                str(f.reference),
                str(f.fresh),
                f"{f.rise:+.2f}",
                f"{f.psi:.3f}",
                f"{f.adjusted:.2g}",
                "moved" if f.moved else "",
            )
            for f in self.features
        ]
        return in_columns([("feature", "fitted", "fresh", "rise", "PSI", "p", ""), *rows])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "drifted": self.drifted,
            "queries": self.queries,
            "verdict": self.verdict,
            "features": [feature.to_dict() for feature in self.features],
        }

    def __str__(self) -> str:
        return self.verdict
