"""What can go wrong between a model's name and its answers."""

from __future__ import annotations

from cascade_engine.errors import CascadeError


class WeightsError(CascadeError):
    """The weights of a local model cannot be used."""


class WeightsUnavailableError(WeightsError):
    """No location gave the weights of a known model."""


class LocalServerError(CascadeError):
    """The server of a local model refused a request, or is closed."""
