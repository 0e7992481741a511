"""Models in files without pickle."""

from ._classifier import describe, one_error, restore
from ._components import check_trusted
from ._file import read_model_file, write_model_file
