"""The one way to refuse a value, and to name the nearest valid one."""

import difflib
from numbers import Integral

_SHOWN = 5


def check_parameter(name, value, valid, allowed):
    """Raise ValueError unless `valid`, naming the parameter, its value and what is allowed."""
    if not valid:
        raise refused(name, value, allowed)


def refused(name, value, allowed):
    """Return the error for a value that is not allowed."""
    return ValueError(f"{name}={value!r} is not allowed; allowed: {allowed}")


def check_choice(name, value, choices):
    """Raise ValueError unless value is one of the choices."""
    allowed = " or ".join(repr(choice) for choice in choices)
    check_parameter(name, value, isinstance(value, str) and value in choices, allowed)


def check_integer(name, value, *, minimum, optional=False):
    """Raise ValueError unless value is an integer from `minimum` on, or None where `optional`."""
    allowed = f"an integer of at least {minimum}" + (" or None" if optional else "")
    valid = (optional and value is None) or is_integer(value, minimum)
    check_parameter(name, value, valid, allowed)


def is_integer(value, minimum):
    """Return whether value is an integer from `minimum` on, booleans aside."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= minimum


def did_you_mean(name, known, *, n=1):
    """Return "did you mean 'x'?" for the nearest of the known names, or an empty text."""
    nearest = difflib.get_close_matches(str(name), [str(one) for one in known], n=n)
    return f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""


def shown(values, noun, text=str):
    """Return a count of things with the first few of them, for an error."""
    values = list(values)
    listed = ", ".join(text(value) for value in values[:_SHOWN])
    more = ", ..." if len(values) > _SHOWN else ""
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'} ({listed}{more})"
