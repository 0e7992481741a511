"""Image files as uint8 pixels, and the store of decoded images."""

from .._utils.naming import publish
from ._decode import decode
from ._facts import ImageFacts, read_facts
from ._open import MAX_FILE_BYTES, check_file, open_image, path_text, read_file
from ._pixel_files import decoding_versions
from ._read import ReadOptions, read_image, read_options, read_pixels
from ._store import ImageStore, shared_image_store

__all__ = ["ImageStore", "open_image", "read_image", "shared_image_store"]

publish(__name__, __all__)
