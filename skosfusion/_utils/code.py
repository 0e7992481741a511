"""Code of functions: what it does, what it names, and whose it is."""

import dis
import functools
import importlib.util
import inspect
import sys
import types
from pathlib import Path

KNOWN_ROOTS = {"skosfusion", "torch", "torchvision"}


def code_parts(code):
    """Give what a code object does, its place in a file aside."""
    yield from (code.co_name, code.co_code, code.co_flags, code.co_argcount)
    yield from (code.co_posonlyargcount, code.co_kwonlyargcount)
    for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
        yield repr(names)
    yield getattr(code, "co_exceptiontable", b"")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_parts(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


@functools.lru_cache(2**12)
def names_in(code):
    """Return the globals, attributes and modules that a code object names."""
    names, attributes, imports = set(), set(), set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM", "LOAD_SUPER_ATTR"):
            attributes.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            imports.add(step.argval)
    for constant in code.co_consts:
        if inspect.iscode(constant):
            for found, more in zip((names, attributes, imports), names_in(constant), strict=True):
                found |= more
    return names, attributes, imports


@functools.lru_cache(2**12)
def is_library(module):
    """Return whether a module is Python's, this package's, or lies where packages are installed."""
    root = str(module).partition(".")[0]
    if root in sys.stdlib_module_names or root in KNOWN_ROOTS:
        return True
    try:
        found = getattr(sys.modules.get(root), "__spec__", None) or importlib.util.find_spec(root)
    except (ImportError, ValueError):  # such as __main__
        return False
    origin = str(getattr(found, "origin", None))
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(origin).parts)


def is_patched(value):
    """Return whether an attribute of a library's class is a function from elsewhere."""
    for inside in ("__func__", "fget", "func"):
        value = getattr(value, inside, value)
    return isinstance(value, types.FunctionType) and not is_library(value.__module__)
