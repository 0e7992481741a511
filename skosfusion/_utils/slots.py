"""Where objects of Python's classes hold their state beside the attributes that all see."""

import struct

IS_HEAP_TYPE = 1 << 9
"""Flag of types that a class statement has made (Py_TPFLAGS_HEAPTYPE)."""

_POINTER_BYTES = struct.calcsize("P")


def is_python_alone(kind):
    """Return whether objects of a class have no room for a state that Python does not show."""
    if not all(parent.__flags__ & IS_HEAP_TYPE for parent in kind.__mro__[:-1]):
        return False
    n_pointers = sum(map(len, map(_slot_names, kind.__mro__)))
    n_pointers += (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
    return kind.__basicsize__ <= object.__basicsize__ + n_pointers * _POINTER_BYTES


def _slot_names(kind):
    names = vars(kind).get("__slots__", ())
    names = [names] if isinstance(names, str) else names
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def slots(thing):
    """Return what an object holds in slots, by the names under which they are found."""
    there = {}
    for kind in type(thing).__mro__:
        for name in _slot_names(kind):
            is_mangled = name.startswith("__") and not name.endswith("__")
            full = f"_{kind.__name__.lstrip('_')}{name}" if is_mangled else name
            if hasattr(thing, full):
                there[full] = getattr(thing, full)
    return there
