"""The bridge from tables of images and clinical values to the fusion network, and back."""

from ._estimator import FusionClassifier
from ._features import FeatureCache, shared_feature_cache

__all__ = ["FeatureCache", "FusionClassifier", "shared_feature_cache"]
