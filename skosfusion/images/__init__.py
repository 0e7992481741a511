"""Image files as uint8 pixels, and the store of decoded images."""

from ._open import open_image
from ._read import read_image
from ._store import ImageStore, shared_image_store

__all__ = ["ImageStore", "open_image", "read_image", "shared_image_store"]
