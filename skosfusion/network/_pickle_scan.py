"""What a pickle of tensors would build, found step by step without building or calling anything."""

import pickle
import pickletools
import struct
from collections import Counter, OrderedDict

from ._pickle_names import (
    REBUILDS,
    UNREADABLE,
    Named,
    TensorSeen,
    checked_key,
    is_allowed,
)

MAX_PICKLE_BYTES = 2**25
# A state dict takes some 50 steps a tensor. Bounds time, and memory to some hundred bytes a step.
_MAX_STEPS = 2**21
_STEPS_OF_TENSOR = 20
_MAX_LINE = 200
_PROTOCOL = 2  # the one that `torch.save` writes, and its restricted unpickler reads


def scan_pickle(data, position, storage_of):
    """Follow a pickle, and return what it would build and where it ends.

    Raises ValueError for what is not on the list of this module, whatever the process has added to
    torch's. `storage_of` turns the id of a storage into a `Storage`, or raises ValueError.
    """
    scan = _Scan(data, position, storage_of)
    try:
        return scan.run(), scan.position
    except (LookupError, struct.error, TypeError, OverflowError) as error:
        raise ValueError("its pickle is damaged") from error


class _Scan:
    """The stack of torch's restricted unpickler, and only its instructions."""

    def __init__(self, data, position, storage_of):
        self.data, self.position = data, position
        self.storage_of = storage_of
        self.n_steps = 0
        self.stack, self.outer, self.memo = [], [], {}

    def run(self):
        """Follow the pickle to its end."""
        while True:
            code = self._take(1)
            if code == pickle.STOP:
                if len(self.stack) != 1 or self.outer:
                    raise ValueError("its pickle is damaged")
                return self.stack[0]
            self._count(1)
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                self._refuse_instruction(code)
            instruction(self)

    def _count(self, n_steps):
        """Refuse a pickle that would go on too long, or fill the memory."""
        self.n_steps += n_steps
        if self.n_steps > _MAX_STEPS:
            raise ValueError(f"its pickle takes more than {_MAX_STEPS} steps")

    def _refuse_instruction(self, code):
        """Refuse what torch's unpickler does not read either."""
        known = pickletools.code2op.get(code.decode("latin-1"))
        if known is None:
            raise ValueError("its pickle is damaged")
        raise ValueError(
            f"its pickle has the instruction {known.name}, which torch.save does not write; "
            f"pickle_protocol must be {_PROTOCOL}, the default"
        )

    def _take(self, n_bytes):
        end = self.position + n_bytes
        if end > len(self.data):
            raise ValueError("it is cut off, or not a file of torch.save")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def _number(self, n_bytes):
        return int.from_bytes(self._take(n_bytes), "little")

    def _line(self):
        end = self.data.find(b"\n", self.position, self.position + _MAX_LINE)
        if end < 0:
            raise ValueError("its pickle names something too long, or is cut off")
        return self._take(end + 1 - self.position)[:-1].decode()

    def _items(self):
        """Return what was put on the stack after the last mark."""
        items, self.stack = self.stack, self.outer.pop()
        return items

    def _protocol(self):
        protocol = self._number(1)
        if protocol != _PROTOCOL:
            raise ValueError(
                f"it is pickled with protocol {protocol}; torch.save must write with "
                f"pickle_protocol={_PROTOCOL}, the default"
            )

    def _global(self):
        name = f"{self._line()}.{self._line()}"
        if not is_allowed(name):
            raise ValueError(
                f"it holds more than tensors, which could run code: {name} is named in it"
            )
        self.stack.append(Named(name))

    def _reduce(self):
        arguments, called = self.stack.pop(), self.stack.pop()
        if type(called) is not Named or type(arguments) is not tuple:
            raise ValueError("its pickle calls what is not a function")
        self.stack.append(self._result(called.name, arguments))

    def _result(self, name, arguments):
        """Return what stands for the result of a call, if it is a plain one."""
        if name in UNREADABLE:
            return TensorSeen(UNREADABLE[name])
        rebuild = REBUILDS.get(name)
        if rebuild is None:
            raise ValueError(f"its pickle calls {name}, which a state dict does not")
        # What is copied again and again would fill the memory.
        self._count(_length(arguments) + _STEPS_OF_TENSOR)
        return rebuild(*arguments)

    def _build(self):
        state, target = self.stack.pop(), self.stack[-1]
        # As attributes, such as the versions of layers that `state_dict` notes. One that hides a
        # method would be called later.
        if type(target) is not OrderedDict or type(state) is not dict:
            raise ValueError("its pickle sets attributes, which a state dict does not")
        if not all(type(key) is str and not hasattr(OrderedDict, key) for key in state):
            raise ValueError("its pickle hides a method of a dict")
        self._count(len(state))

    def _persistent(self):
        self.stack.append(self.storage_of(self.stack.pop()))

    def _put(self, n_bytes):
        self.memo[self._number(n_bytes)] = self.stack[-1]

    def _append(self, values):
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("its pickle appends to what is not a list")
        target.extend(values)

    def _set(self, items):
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict, Counter) or len(items) % 2:
            raise ValueError("its pickle sets items of what is not a dict")
        for i in range(0, len(items), 2):
            target[checked_key(items[i])] = items[i + 1]

    def _tuple(self, n_items):
        if len(self.stack) < n_items:
            raise ValueError("its pickle is damaged")
        self.stack[-n_items:] = [tuple(self.stack[-n_items:])]

    def _mark(self):
        self.outer.append(self.stack)
        self.stack = []

    def _pair(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])


def _push(read):
    """Make the instruction that puts a value on the stack."""

    def push(scan):
        value = read(scan)  # may put another stack in place of this one
        scan.stack.append(value)

    return push


_INSTRUCTIONS = {
    pickle.PROTO: _Scan._protocol,
    pickle.GLOBAL: _Scan._global,
    pickle.REDUCE: _Scan._reduce,
    pickle.BUILD: _Scan._build,
    pickle.BINPERSID: _Scan._persistent,
    pickle.MARK: _Scan._mark,
    pickle.APPEND: lambda scan: scan._append([scan.stack.pop()]),
    pickle.APPENDS: lambda scan: scan._append(scan._items()),
    pickle.SETITEM: _Scan._pair,
    pickle.SETITEMS: lambda scan: scan._set(scan._items()),
    pickle.TUPLE: _push(lambda scan: tuple(scan._items())),
    pickle.TUPLE1: lambda scan: scan._tuple(1),
    pickle.TUPLE2: lambda scan: scan._tuple(2),
    pickle.TUPLE3: lambda scan: scan._tuple(3),
    pickle.NONE: _push(lambda scan: None),
    pickle.NEWTRUE: _push(lambda scan: True),
    pickle.NEWFALSE: _push(lambda scan: False),
    pickle.EMPTY_TUPLE: _push(lambda scan: ()),
    pickle.EMPTY_LIST: _push(lambda scan: []),
    pickle.EMPTY_DICT: _push(lambda scan: {}),
    pickle.BININT: _push(lambda scan: int.from_bytes(scan._take(4), "little", signed=True)),
    pickle.BININT1: _push(lambda scan: scan._number(1)),
    pickle.BININT2: _push(lambda scan: scan._number(2)),
    pickle.LONG1: _push(lambda scan: pickle.decode_long(scan._take(scan._number(1)))),
    pickle.BINFLOAT: _push(lambda scan: struct.unpack(">d", scan._take(8))[0]),
    pickle.BINUNICODE: _push(
        lambda scan: str(scan._take(scan._number(4)), "utf-8", "surrogatepass")
    ),
    pickle.SHORT_BINSTRING: _push(lambda scan: scan._take(scan._number(1)).decode()),
    pickle.BINGET: _push(lambda scan: scan.memo[scan._number(1)]),
    pickle.LONG_BINGET: _push(lambda scan: scan.memo[scan._number(4)]),
    pickle.BINPUT: lambda scan: scan._put(1),
    pickle.LONG_BINPUT: lambda scan: scan._put(4),
}


def _length(arguments):
    """Count what a call would copy."""
    return sum(len(value) for value in arguments if isinstance(value, (dict, list, tuple, str)))
