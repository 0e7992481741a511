"""A frame with a column of images, before `load_cohort` or after it."""

import os
from dataclasses import dataclass

import pandas as pd

from .._utils.cells import MISSING
from ._complete import as_image_column
from ._declarations import ImageColumn
from ._image_files import check_names
from ._reading import folder_of_frame
from ._tables import Table, open_table


@dataclass(frozen=True)
class ImageFrame:
    """A table with its image column, the file names in that, and the folder they are in."""

    table: Table
    image: ImageColumn
    names: pd.Series
    folder: str | None

    def find(self):
        """Return the absolute paths of the images, after checking each of them."""
        return self.image._find(self.names, self.folder, option="image")


def open_frame(frame, image, image_folder=None):
    """Return a DataFrame, or the table of this path, as an ImageFrame."""
    image = as_image_column(image)
    table = open_table(frame, "image table", MISSING)
    names = check_names(table.known(image.column, "image=..."), image.column)
    return ImageFrame(table, image, names, folder_of(frame, image_folder))


def folder_of(table, image_folder):
    """Return the folder that image paths are relative to; None for a DataFrame without one."""
    if image_folder is not None:
        return os.fspath(image_folder)
    if isinstance(table, list | tuple):
        folders = {folder_of(one, None) for one in table}
        return folders.pop() if len(folders) == 1 else None
    if isinstance(table, pd.DataFrame):
        return folder_of_frame(table)
    return os.path.dirname(os.fspath(table)) if isinstance(table, str | os.PathLike) else None
