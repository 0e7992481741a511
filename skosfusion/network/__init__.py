"""Tensors: the fusion network, its encoders and their weights, and what a fixed encoder gives."""

from .._utils.naming import publish
from ._activations import KeptActivations, StageActivations
from ._available import (
    ChosenEncoder,
    WeightsFile,
    available_weights,
    choose_encoder,
    digest_of_weights,
    hub_folder,
)
from ._encoder_input import IMAGENET_MEAN, IMAGENET_STD, check_pixel_scale
from ._encoders import (
    backbone_names,
    build_encoder,
    encoder_without_values,
    feature_length,
    flatten,
    is_torchvision_model,
)
from ._engines import ENGINES, EngineFailedError, engine_in_use, settle_engine
from ._feature_cache import FeatureCache, shared_feature_cache
from ._features import EncoderFeatures
from ._fusion import FusionNetwork, check_head_dropout
from ._gated_head import GatedHead, inputs_of_columns
from ._heads import FUSIONS, HEADS, make_head
from ._identity import has_known_code, network_identity
from ._inference import encoding_batch_size, folded_encoder, small_batch_size
from ._own_encoders import check_backbone
from ._packaged_weights import PACKAGE, PACKAGED_BACKBONE, has_package
from ._split import with_replaced
from ._state_parts import WeightsReport
from ._weights import (
    EncoderState,
    encoder_part,
    input_of_encoder,
    load_encoder_state,
    torchvision_weights,
)

__all__ = [
    "ChosenEncoder",
    "EncoderFeatures",
    "EncoderState",
    "FeatureCache",
    "FusionNetwork",
    "GatedHead",
    "WeightsFile",
    "WeightsReport",
    "available_weights",
    "backbone_names",
    "build_encoder",
    "choose_encoder",
    "digest_of_weights",
    "folded_encoder",
    "load_encoder_state",
    "shared_feature_cache",
    "torchvision_weights",
]

publish(__name__, __all__)
