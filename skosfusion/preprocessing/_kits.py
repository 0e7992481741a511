"""Laboratory values and their normal ranges, as users write them: ``(value, low, high)``."""

from .._utils.cells import is_number
from .._utils.validation import check_parameter

PAPER_KITS = {"alp": ("alp", "alp_low", "alp_high"), "ldh": ("ldh", "ldh_low", "ldh_high")}
_ALLOWED = (
    "(value, low, high): a column, and two other columns or two numbers, low < high, or one number "
    "above 0 and None for the end that the range does not have"
)


def check_kits(kits):
    """Return kits if each is (value, low, high), else raise ValueError."""
    check_parameter("kits", kits, isinstance(kits, dict), "a dict of name: (value, low, high)")
    for name, kit in kits.items():
        check_kit_name(name)
        check_kit(f"kits[{name!r}]", kit)
    return kits


def check_kit_name(name):
    """Raise ValueError unless a step of the clinical transformer may have this name."""
    valid = isinstance(name, str) and name not in ("", "image", "gender", "age")
    allowed = "names of str other than image, gender and age, without '__'"
    check_parameter("name of a kit", name, valid and "__" not in name, allowed)


def check_kit(shown, kit):
    """Raise ValueError unless a kit is (value, low, high); `shown` is its name in the error."""
    valid = (
        isinstance(kit, tuple | list)
        and len(kit) == 3
        and isinstance(kit[0], str)
        and (_has_limit_columns(kit) or is_range(*kit[1:]))
    )
    check_parameter(shown, kit, valid, _ALLOWED)


def has_fixed_limits(kit):
    """Return whether the limits of a kit are numbers, or one number, not columns."""
    return is_range(*kit[1:])


def is_range(low, high):
    """Return whether two numbers are a range, or one is and None stands for the other end."""
    if low is None or high is None:
        limit = high if low is None else low
        return is_number(limit) and limit > 0
    return is_number(low) and is_number(high) and low < high


def _has_limit_columns(kit):
    """Return whether value and limits of a kit are three columns."""
    return all(isinstance(part, str) for part in kit) and len(set(kit)) == 3
