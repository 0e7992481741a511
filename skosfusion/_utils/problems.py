"""All that is wrong with a table in one error, not one problem a run."""

from contextlib import contextmanager

from ..exceptions import TableError

_SHOWN = 12


class Problems:
    """Errors met on the way, raised together at its end."""

    def __init__(self):
        self.errors = []

    @contextmanager
    def collected(self):
        """Keep an error of the block, and go on after it."""
        try:
            yield
        except (ValueError, TypeError, OSError) as error:
            self.add(error)

    def add(self, error):
        """Keep an error, and each of those that are listed in it."""
        self.errors.extend(getattr(error, "problems", None) or [error])

    def raise_any(self):
        """Raise the one error as it is, or one that lists several; return if there is none."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise _listed(self.errors) from self.errors[0]


def _listed(errors):
    """Return an error that lists errors; of their type where they are of one."""
    lines = [f"- {error}" for error in errors[:_SHOWN]]
    if len(errors) > _SHOWN:
        lines.append(f"- and {len(errors) - _SHOWN} more")
    text = "\n".join([f"{len(errors)} problems:", *lines])
    kinds = {type(error) for error in errors}
    if kinds in ({FileNotFoundError}, {TypeError}):
        listed = kinds.pop()(text)
    elif len(kinds) == 1 and hasattr(errors[0], "row"):  # ImageError
        listed = kinds.pop()(text, path=errors[0].path, row=errors[0].row)
    else:
        return TableError(text, errors)
    listed.problems = tuple(errors)
    return listed
