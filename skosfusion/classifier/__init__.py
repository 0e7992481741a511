"""The bridge from tables of images and clinical values to the fusion network, and back."""

from .._utils.naming import publish

# The cache lives in the room `network`; users have always found it here, too.
from ..network import FeatureCache, shared_feature_cache
from ._combinations import check_combination
from ._device import resolve_device
from ._estimator import FusionClassifier
from ._image_encoder import ImageEncoder
from ._net import copied_params
from ._parameters import check_parameters

__all__ = ["FusionClassifier", "ImageEncoder"]

publish(__name__, __all__)
