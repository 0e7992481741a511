"""Code of functions: what it does, what it names, and whose it is."""

import dis
import functools
import importlib.util
import inspect
import sys
import types
from pathlib import Path

_IDLE_STEPS = {"CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL"}
# Code that names these reads what cannot be seen from it.
_OUTSIDE = {
    *("__import__", "environ", "eval", "exec", "getattr", "getenv", "globals", "locals", "open"),
    "vars",
}
_OUTSIDE_ATTRIBUTES = {
    *("environ", "getenv", "import_module", "popen", "urlopen"),
    # Ways to read a file.
    *("from_file", "fromfile", "genfromtxt", "imread", "load", "load_file", "loadtxt", "memmap"),
    *("open", "read_bytes", "read_csv", "read_excel", "read_image", "read_json", "read_parquet"),
    *("read_pickle", "read_text", "safe_open"),
}
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
    """Return the globals, attributes and modules that a code object names.

    Modules come with the level of their import, 0 for absolute ones. `getattr` counts as a name
    but where it reads the first argument, such as `self`.
    """
    names, attributes, imports = set(), set(), set()
    steps = [step for step in dis.get_instructions(code) if step.opname not in _IDLE_STEPS]
    for i, step in enumerate(steps):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if step.argval != "getattr" or not _reads_first_argument(code, steps[i + 1 : i + 2]):
                names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM", "LOAD_SUPER_ATTR"):
            attributes.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            imports.add((steps[i - 2].argval, step.argval))
    for constant in code.co_consts:
        if inspect.iscode(constant):
            for found, more in zip((names, attributes, imports), names_in(constant), strict=True):
                found |= more
    return names, attributes, imports


def _reads_first_argument(code, steps):
    """Return whether the next step reads the first argument; one step may read two."""
    if not code.co_argcount:
        return False
    first = code.co_varnames[0]
    return any(
        step.opname.startswith("LOAD_FAST") and first in (step.argval, step.argval[0])
        for step in steps
    )


def outside_names(names, attributes, values):
    """Return what code reads that cannot be seen from it, of the names in it and their values."""
    # A function of a library may have another name here.
    called = {
        getattr(value, "__name__", None)
        for value in values
        if callable(value) and is_library(getattr(value, "__module__", None))
    }
    return sorted(_OUTSIDE & names | _OUTSIDE_ATTRIBUTES & (attributes | called))


def imported_modules(level, name, package):
    """Return the absolute name of a module that is imported, and of the packages that it is in."""
    if level:
        # A package that is not named has no module, and so is found nowhere.
        parents = str(package).split(".")
        parents = parents[: len(parents) - level + 1]
        name = ".".join([*parents, name] if name else parents)
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


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
