"""The caches that all classifiers of a process share."""

from skosfusion.classifier import shared_feature_cache
from skosfusion.images import shared_image_store


def forget():
    shared_image_store().clear()
    shared_feature_cache().clear()
