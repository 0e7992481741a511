"""What all declarations of columns have in common."""

from collections.abc import Hashable
from dataclasses import MISSING, fields, replace

from .._utils.validation import check_parameter


class Column:
    """A declared column; one of a single name has the field `column`."""

    def __post_init__(self):
        check_parameter("column", self.column, is_column_name(self.column), "the name of a column")

    def __repr__(self):
        given = [
            f"{field.name}={self._shown(field.name)!r}"
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def _shown(self, name):
        """Return the value of a field as one types it."""
        return getattr(self, name)

    @property
    def _columns(self):
        return [self.column]

    def _declared(self, name, **options):
        """Return what one types to declare this column with other options, for errors."""
        return option_for(name, replace(self, **options))

    def _is_there(self, name, tables):
        return any(table.has(self.column) for table in tables)


def is_column_name(what):
    """Return whether this can be the name of a column of any table."""
    is_other = what is None or isinstance(what, Column | type)
    return isinstance(what, Hashable) and not is_other


def option_for(name, declaration=...):
    """Return what one types to declare the column of this name, for errors."""
    return f"columns={{{name!r}: {'...' if declaration is ... else repr(declaration)}}}"
