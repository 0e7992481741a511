"""What the tests of encoded images share."""

from skosfusion.network import EncoderFeatures

OPTIONS = {"image_size": 32}


def kept_features(folder):
    return sorted((folder / "features").rglob("*.safetensors"))


def encoded(cache, network, paths, options, *, folder=None, few=False):
    """Encode images for training, or a few of them for a prediction."""
    source = EncoderFeatures(network, options, folder=folder, cache=cache)
    return (source.for_prediction if few else source.for_training)(paths)
