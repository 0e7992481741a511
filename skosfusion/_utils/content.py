"""When are two objects the same? Answered by their content: values, attributes and code."""

import builtins
import collections
import enum
import functools
import hashlib
import logging
import re
import sys
import threading
import types
from pathlib import PurePath

import numpy as np
import torch

from .code import (
    KNOWN_ROOTS,
    code_parts,
    imported_modules,
    is_library,
    is_patched,
    names_in,
    outside_names,
)
from .slots import IS_HEAP_TYPE, is_python_alone, slots
from .tensor_content import UntellableError, hashes_ahead, tensor_parts

# Their text tells them.
_PLAIN = {
    bool,
    bytes,
    bytearray,
    complex,
    float,
    int,
    range,
    slice,
    str,
    torch.device,
    torch.dtype,
    torch.layout,
    torch.memory_format,
    torch.Size,
    type(...),
    type(None),
    type(NotImplemented),
}
# Characters of a text whose digest is kept.
_SHORT = 64
_SIMPLE = {bool, float, int, str, type(None)}
# They have a state, and none of it changes an output.
_IDLE = (logging.Logger, type(threading.Lock()), type(threading.RLock()))
_BUILT_IN = (
    types.BuiltinFunctionType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    np.ufunc,
)
_FIELD_OF_NAMED_TUPLE = type(collections.namedtuple("_", "field").field)
_TOLD_BY_TEXT = (
    _FIELD_OF_NAMED_TUPLE,
    np.dtype,
    PurePath,
    re.Pattern,
    types.GenericAlias,
    types.UnionType,
)
# Of a class: names that say nothing of what its objects do.
_IDLE_NAMES = {
    "__annotations__",
    "__annotate__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
# Taken apart, they are names, numbers of a shape and digests, all of them short.
_OF_DIGESTS = torch.nn.Module, torch.Tensor, tuple
# Not run again by an object that is there.
_CONSTRUCTION = {"__init__", "__new__", "__post_init__", "__repr__", "extra_repr"}
# Of a module: what changes no output in evaluation mode, or is told in another way.
_IDLE_ATTRIBUTES = {
    "_backward_hooks",
    "_backward_pre_hooks",
    "_buffers",
    "_flat_weight_refs",  # of recurrent layers, to their parameters
    "_is_full_backward_hook",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_modules",
    "_non_persistent_buffers_set",
    "_parameters",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "training",
}


def all_code_is_known(thing):
    """Return whether versions of torch, torchvision and this package tell all code of a module."""
    content = Content(with_values=False)
    try:
        content.digest(thing)
    except NOT_TOLD:
        return False
    return content.is_known


NOT_TOLD = (UntellableError, AttributeError, RecursionError, RuntimeError, TypeError, ValueError)
"""What `Content.digest` may raise: objects of others may do anything when they are looked at."""


class Content:
    """Digests of objects: equal ones belong to objects that do the same.

    Values count by what they hold; modules by their tensors, attributes, hooks and classes;
    functions by their code, defaults, closures and the globals that they name. Functions of
    installed libraries count by name. What has a state that Python does not show, such as a
    compiled module, and code that reads files or the environment, is an `UntellableError`.

    `is_known` says whether all code met so far is torch's, torchvision's or this package's, and
    `libraries` names the others of which installed code was met: it counts by name, so that their
    versions belong to what tells an object.

    Without `with_values`, tensors count by type and shape. The objects `idle` do not count, nor do
    the attributes and buffers `idle_names` of the module `owner`.
    """

    def __init__(self, *, with_values=True, idle=(), owner=None, idle_names=()):
        self.is_known, self.libraries = True, set()
        self._with_values = with_values
        self._idle = {id(thing) for thing in idle}
        self._owner, self._idle_names = owner, frozenset(idle_names)
        self._digests, self._under_way, self._alive = {}, {}, []
        self._hashed_ahead = {}

    def hash_ahead(self, module, n_threads):
        """Hash the tensors of a module together, for when they are met, which takes less time."""
        if self._with_values:
            tensors = [*module.parameters(), *module.buffers()]
            self._alive += tensors
            self._hashed_ahead = hashes_ahead(tensors, n_threads)

    def digest(self, thing):
        """Return the digest of an object, or raise UntellableError."""
        if type(thing) in _PLAIN:
            text = repr(thing)
            short = len(text) <= _SHORT
            return (_of_short_text if short else _joined)(type(thing).__qualname__, text)
        return self._digest(thing, self._parts)

    def _kind(self, thing):
        """Return the digest of an object's class; what has made the object does not count."""
        return self._digest(type(thing), self._parts_of_class_in_use)

    def _digest(self, thing, take_apart):
        key = id(thing), take_apart.__name__
        if key in self._digests:
            return self._digests[key]
        if key in self._under_way:
            return _joined("again", self._under_way[key])
        self._under_way[key] = len(self._under_way)
        self._alive.append(thing)  # so that nothing else is given its id
        try:
            join = _joined_before if isinstance(thing, _OF_DIGESTS) else _joined
            found = join(type(thing).__qualname__, *take_apart(thing))
        finally:
            del self._under_way[key]
        self._digests[key] = found
        return found

    def _parts(self, thing):
        """Take an object apart."""
        if isinstance(thing, torch.Tensor):
            ahead = self._hashed_ahead.get(id(thing))
            return tensor_parts(thing, with_values=self._with_values, ahead=ahead)
        if isinstance(thing, np.ndarray | np.generic):
            return self._array_parts(np.asarray(thing))
        if isinstance(thing, _TOLD_BY_TEXT):
            return _plain_parts(thing)
        if isinstance(thing, enum.Enum):
            return [self._kind(thing), thing.name]
        if isinstance(thing, torch.nn.Module):
            return self._module_parts(thing)
        if isinstance(thing, type):
            return self._class_parts(thing)
        if isinstance(thing, types.ModuleType):
            return [self._library_or_raise(thing.__name__)]
        if isinstance(thing, _IDLE):
            return []
        parts = self._callable_parts(thing)
        return self._container_parts(thing) if parts is None else parts

    def _array_parts(self, array):
        if array.dtype.hasobject:
            return [array.shape, *map(self.digest, array.ravel().tolist())]
        return [array.dtype, array.shape, np.ascontiguousarray(array).tobytes()]

    def _module_parts(self, module):
        """Give a module's class, attributes, tensors and children."""
        idle = self._idle_names if module is self._owner else frozenset()
        idle_attributes = _IDLE_ATTRIBUTES | idle
        for kind, tensors in (("p", module._parameters), ("b", module._buffers)):
            for name, tensor in tensors.items():
                if name in idle:
                    continue
                yield f"{kind} {name}"
                yield self.digest(tensor)
        for name, child in module._modules.items():
            if id(child) in self._idle:
                continue
            yield f"m {name}"
            yield self.digest(child)
        yield self._kind(module)
        for name, value in sorted(vars(module).items()):
            if name in idle_attributes or (_is_hooks(name) and not value):
                continue
            yield f"a {name}"
            # The numbers of hooks count all those of the process.
            yield self._hooks(value) if _is_hooks(name) else self.digest(value)

    def _hooks(self, hooks):
        self.is_known = False
        return self.digest(list(hooks.values()))

    def _parts_of_class_in_use(self, kind):
        return self._class_parts(kind, _IDLE_NAMES | _CONSTRUCTION, self._parts_of_class_in_use)

    def _class_parts(self, kind, idle=_IDLE_NAMES, take_base_apart=None):
        """Tell a class: of a library by its name and what is patched into it, else all of it."""
        yield f"{kind.__module__}.{kind.__qualname__}"
        if not kind.__flags__ & IS_HEAP_TYPE:
            return
        of_library = self._note(kind.__module__)
        for name, value in sorted(vars(kind).items()):
            if name in idle or isinstance(value, types.MemberDescriptorType):
                continue
            if of_library and not (is_patched(value) or type(value) in _SIMPLE):
                continue
            yield name
            yield self.digest(value)
        for base in kind.__bases__:
            yield self._digest(base, take_base_apart or self._parts)

    def _callable_parts(self, thing):
        """Take a function or the like apart; None for what is none."""
        if isinstance(thing, types.FunctionType):
            return self._function_parts(thing)
        if isinstance(thing, types.MethodType):
            return [self.digest(thing.__func__), self.digest(thing.__self__)]
        if isinstance(thing, functools.partial):
            return [self.digest(part) for part in (thing.func, thing.args, thing.keywords)]
        if isinstance(thing, staticmethod | classmethod):
            return [self.digest(thing.__func__)]
        if isinstance(thing, property):
            return [self.digest(part) for part in (thing.fget, thing.fset)]
        if isinstance(thing, functools.cached_property):
            return [self.digest(thing.func)]
        if isinstance(thing, functools._lru_cache_wrapper):
            return [self.digest(thing.__wrapped__)]
        return self._built_in_parts(thing) if isinstance(thing, _BUILT_IN) else None

    def _built_in_parts(self, thing):
        owner = getattr(thing, "__self__", None)
        is_free = owner is None or isinstance(owner, types.ModuleType | type)
        owner = getattr(thing, "__objclass__", owner) if is_free else owner
        name = getattr(thing, "__qualname__", None) or thing.__name__
        if not is_free or isinstance(owner, type):
            return [name, self.digest(owner)]
        module = "numpy" if isinstance(thing, np.ufunc) else getattr(thing, "__module__", None)
        return [name, module and self._library_or_raise(module)]

    def _function_parts(self, function):
        # A wrapper bears the name of what it wraps; its globals tell where it was written.
        of_library = self._note(function.__globals__.get("__name__")) & self._note(
            function.__module__
        )
        yield from (function.__module__, function.__qualname__)
        yield from code_parts(function.__code__)
        for part in (function.__defaults__, function.__kwdefaults__, vars(function)):
            yield self.digest(part)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            if name == "__class__":  # for `super()`: the class that the function belongs to
                continue
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            yield name
            yield self.digest(content)
        if not of_library:
            yield from self._named_parts(function)

    def _named_parts(self, function):
        """Give what a function's code names outside of itself."""
        names, attributes, imports = names_in(function.__code__)
        there = function.__globals__
        named = {name: there[name] for name in names if name in there}
        for name in outside_names(names, attributes, named.values()):
            raise UntellableError(f"{function.__qualname__} names {name!r}")
        if any(value is sys for value in named.values()) and "modules" in attributes:
            raise UntellableError(f"{function.__qualname__} names 'sys.modules'")
        for level, name in imports:
            for whole in imported_modules(level, name, there.get("__package__")):
                if whole not in sys.modules and not is_library(whole):
                    raise UntellableError(f"{function.__qualname__} imports {whole!r}")
                named[f"import {whole}"] = sys.modules.get(whole)
        for name, value in sorted(named.items()):
            yield name
            is_module = isinstance(value, types.ModuleType)
            if not is_module or is_library(value.__name__):
                yield self.digest(value)
                continue
            self.is_known = False
            if "__getattr__" in vars(value) and not attributes <= vars(value).keys():
                raise UntellableError(f"the module {value.__name__!r} may hold anything")
            for attribute in sorted(attributes & vars(value).keys()):
                yield attribute
                yield self.digest(getattr(value, attribute))
        yield from sorted(name for name in names - named.keys() if not hasattr(builtins, name))

    def _container_parts(self, thing):
        """Take a container or an object of a class written in Python apart."""
        kind = type(thing)
        if isinstance(thing, collections.defaultdict):
            yield self.digest(thing.default_factory)
        if isinstance(thing, set | frozenset):
            yield from sorted(map(self.digest, thing))
        elif isinstance(thing, dict | types.MappingProxyType):
            for key, value in thing.items():
                yield from (self.digest(key), self.digest(value))
        elif isinstance(thing, list | tuple | collections.deque):
            yield from map(self.digest, thing)
        elif isinstance(thing, types.SimpleNamespace):
            pass
        elif not is_python_alone(kind):
            raise UntellableError(f"a {kind.__module__}.{kind.__qualname__} shows no content")
        if kind.__flags__ & IS_HEAP_TYPE:
            yield self._kind(thing)
        there = slots(thing) | getattr(thing, "__dict__", {})
        for name, value in sorted(there.items()):
            yield name
            yield self.digest(value)

    def _note(self, module):
        """Return whether code is an installed library's; note which, where its version matters."""
        root, found = str(module).partition(".")[0], is_library(module)
        if root not in KNOWN_ROOTS | sys.stdlib_module_names:
            self.is_known = False
            if found:
                self.libraries.add(root)
        return found

    def _library_or_raise(self, name):
        if self._note(name):
            return name
        raise UntellableError(f"the module {name!r} may hold anything")


def _is_hooks(name):
    return name.startswith("_forward") and "hooks" in name


def _joined(*parts):
    """Digest parts so that no two lists of them are the same text."""
    text = []
    for part in parts:
        content = part if isinstance(part, bytes) else str(part).encode(errors="surrogatepass")
        text += (type(part).__name__.encode(), b" %d\0" % len(content), content)
    return hashlib.sha256(b"".join(text)).digest()


# Modules that stay as they are have the same parts each time.
_joined_before = functools.lru_cache(maxsize=2**11, typed=True)(_joined)


@functools.lru_cache(maxsize=2**12)
def _of_short_text(kind, text):
    # Names and settings of layers come again and again.
    return _joined(kind, text)


def _plain_parts(thing):
    if isinstance(thing, _FIELD_OF_NAMED_TUPLE):
        return [repr(thing.__reduce__()[1])]
    if isinstance(thing, re.Pattern):
        return [repr(thing.pattern), thing.flags]
    return [type(thing), repr(thing)]
