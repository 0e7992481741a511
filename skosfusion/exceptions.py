"""Errors and warnings of skosfusion beside the built-in ones."""


class ImageError(OSError):
    """An image file exists but cannot be used.

    Parameters
    ----------
    message : str
        What is wrong with the file, and the remedy.
    path : str
        The file.
    row : int or None, default=None
        Position of the file in the table that named it, counted from 0.

    Attributes
    ----------
    path : str
        The file.
    row : int or None
        Position in the table, counted from 0.

    Examples
    --------
    >>> from skosfusion.exceptions import ImageError
    >>> error = ImageError("the file is empty; export it again", path="knee.png", row=3)
    >>> str(error)
    "image 'knee.png' (row 3): the file is empty; export it again"
    """

    def __init__(self, message, *, path, row=None):
        where = f"image {str(path)!r}" + ("" if row is None else f" (row {row})")
        super().__init__(f"{where}: {message}")
        self.message = message
        self.path = str(path)
        self.row = row

    def __reduce__(self):
        # Errors cross process borders in joblib; OSError's own reduction drops keyword arguments.
        return _rebuild_image_error, (self.message, self.path, self.row)


def _rebuild_image_error(message, path, row):
    return ImageError(message, path=path, row=row)


class UnusableError(ValueError):
    """An image file may be sound, but cannot be used as it is; readers turn it into `ImageError`.

    Examples
    --------
    >>> from skosfusion.exceptions import UnusableError
    >>> issubclass(UnusableError, ValueError)
    True
    """


class TableError(ValueError):
    """Several things are wrong with a table; each is listed.

    One problem alone is raised as the error that it is. Several of one type are raised as that type
    where it is TypeError, FileNotFoundError or ImageError.

    Parameters
    ----------
    message : str
        The list.
    problems : sequence of Exception, default=()
        The errors that are listed.

    Attributes
    ----------
    problems : tuple of Exception
        The errors that are listed.

    Examples
    --------
    >>> from skosfusion.exceptions import TableError
    >>> error = TableError("2 problems: ...", [ValueError("age"), TypeError("alp")])
    >>> len(error.problems)
    2
    """

    def __init__(self, message, problems=()):
        super().__init__(message)
        self.problems = tuple(problems)

    def __reduce__(self):
        return TableError, (str(self), self.problems)


class WeightsError(OSError):
    """The initial weights of an encoder are not available or do not fit it.

    Examples
    --------
    >>> from skosfusion.exceptions import WeightsError
    >>> issubclass(WeightsError, OSError)
    True
    """


class ModelFileError(OSError):
    """A model file is damaged, no model of skosfusion, or holds what is not trusted.

    Examples
    --------
    >>> from skosfusion.exceptions import ModelFileError
    >>> issubclass(ModelFileError, OSError)
    True
    """


class LeakageWarning(UserWarning):
    """Training and test rows share patients or images, or seem to, so that scores are too good.

    Examples
    --------
    >>> import warnings
    >>> from skosfusion.exceptions import LeakageWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", LeakageWarning)  # a leak now stops the program
    """


class ImageWarning(UserWarning):
    """An image can be read, but hardly any gray levels are left to most of it.

    Examples
    --------
    >>> import warnings
    >>> from skosfusion.exceptions import ImageWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ImageWarning)  # such an image now stops the program
    """


class ShortcutWarning(UserWarning):
    """Something beside the disease tells the label: a file, a projection, a site, a gap.

    Examples
    --------
    >>> import warnings
    >>> from skosfusion.exceptions import ShortcutWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ShortcutWarning)  # a shortcut now stops the program
    """
