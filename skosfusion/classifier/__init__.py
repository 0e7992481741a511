"""The bridge from tables of images and clinical values to the fusion network, and back."""

from ._estimator import FusionClassifier

__all__ = ["FusionClassifier"]
