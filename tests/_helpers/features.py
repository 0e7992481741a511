"""What the tests of encoded images share."""

from . import tiny

OPTIONS = {"image_size": 32}


class CountingEncoder(tiny.TinyEncoder):
    """Counts the images that were really encoded."""

    n_batches = 0

    def forward(self, images):
        type(self).n_batches += 1
        return super().forward(images)


def kept_features(folder):
    return sorted((folder / "features").rglob("*.safetensors"))
