"""Which objects are the same, told by what they hold and what their code does."""

import collections
import dataclasses
import enum
import functools
import io
import itertools
import random
import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from skosfusion._utils.content import Content, UntellableError, all_code_is_known


def digest(thing):
    return Content().digest(thing)


def defined(source, **names):
    """Run a program in a module of its own, as a user's file is, and return its names."""
    module = types.ModuleType("planted_by_test")
    vars(module).update(names)
    exec(textwrap.dedent(source), vars(module))  # noqa: S102
    return module


class Unit(enum.Enum):
    MILLIMETER = 1
    INCH = 2


@dataclasses.dataclass
class Window:
    low: list[int]
    high: int = 255


class Pair(collections.namedtuple("Pair", "x y")):
    __slots__ = ()


class Slotted:
    __slots__ = ("__hidden", "shown")

    def __init__(self, shown, hidden):
        self.shown, self.__hidden = shown, hidden


VALUES = [
    None,
    False,
    0,
    0.0,
    -0.0,
    "",
    b"",
    (),
    [],
    {},
    set(),
    [0],
    [[0]],
    (0,),
    {"a": 1},
    {"a": 2},
    {1, 2},
    {1, 3},
    "a" * 300,
    re.compile("a" * 300),
    re.compile("a" * 299 + "b"),
    Path("a"),
    Path("b"),
    Unit.INCH,
    Unit.MILLIMETER,
    Window([1]),
    Window([2]),
    Pair(1, 2),
    Pair(2, 1),
    Slotted(1, 2),
    Slotted(1, 3),
    types.SimpleNamespace(a=1),
    types.SimpleNamespace(a=2),
    collections.defaultdict(int),
    collections.defaultdict(list),
    np.arange(3),
    np.arange(3.0),
    np.array([1, "a"], dtype=object),
    np.array([1, "b"], dtype=object),
    torch.arange(3),
    torch.arange(3.0),
    torch.arange(6).view(2, 3),
    torch.arange(6).view(3, 2),
    torch.arange(6).view(2, 3).T,
    torch.float16,
    torch.float32,
    nn.LeakyReLU(0.1),
    nn.LeakyReLU(0.2),
    nn.Sequential(nn.ReLU(), nn.Sigmoid()),
    nn.Sequential(nn.Sigmoid(), nn.ReLU()),
    torch.relu,
    torch.sigmoid,
    functools.partial(torch.add, alpha=1),
    functools.partial(torch.add, alpha=2),
    "abc".upper,
    "abd".upper,
    np.add,
    np.subtract,
    str.upper,
    str.lower,
]


def test_different_values_have_different_digests():
    digests = [digest(value) for value in VALUES]
    assert len(set(digests)) == len(VALUES)
    assert digests == [digest(value) for value in VALUES]


# Programs in which VALUE decides what `thing` does.
PROGRAMS = {
    "constant": "def thing(x): return x * VALUE",
    "default": "def thing(x, by=VALUE): return x * by",
    "keyword default": "def thing(x, *, by=VALUE): return x * by",
    "closure": """
        def make(by):
            return lambda x: x * by
        thing = make(VALUE)
    """,
    "global": """
        by = VALUE
        def thing(x): return x * by
    """,
    "global's item": """
        settings = {"by": [1, VALUE]}
        def thing(x): return x * settings["by"][1]
    """,
    "function that is called": """
        def scaled(x): return x * VALUE
        def thing(x): return scaled(x)
    """,
    "decorated": """
        import functools
        def scaled(f):
            @functools.wraps(f)
            def wrapper(x): return VALUE * f(x)
            return wrapper
        @scaled
        def thing(x): return x
    """,
    "nested": """
        def thing(x):
            def inner(): return x * VALUE
            return inner()
    """,
    "class attribute": """
        class Scale:
            by = VALUE
            def __call__(self, x): return x * self.by
        thing = Scale()
    """,
    "attribute of a base": """
        class Base: by = VALUE
        class Scale(Base):
            def __call__(self, x): return x * self.by
        thing = Scale()
    """,
    "class named in the code": """
        class Scale: by = VALUE
        def thing(x): return x * Scale.by
    """,
    "object's attribute": """
        class Scale:
            def __init__(self, by): self.by = by
        thing = Scale(VALUE)
    """,
    "object made in the code": """
        class Scale:
            def __init__(self): self.by = VALUE
        def thing(x): return x * Scale().by
    """,
    "property": """
        class Scale:
            @property
            def by(self): return VALUE
        thing = Scale()
    """,
    "static method": """
        class Scale:
            @staticmethod
            def scaled(x): return x * VALUE
        thing = Scale()
    """,
    "method of an instance": """
        import types
        class Scale: pass
        thing = Scale()
        thing.scaled = types.MethodType(lambda self, x: x * VALUE, thing)
    """,
    "module's attribute": """
        from torch import nn
        class Layer(nn.Module):
            def __init__(self): super().__init__(); self.by = VALUE
            def forward(self, x): return super().extra_repr() + x * self.by
        thing = Layer()
    """,
    "tensor that is no buffer": """
        import torch
        class Layer(torch.nn.Module):
            def __init__(self): super().__init__(); self.by = [torch.tensor(VALUE)]
        thing = Layer()
    """,
    "hook": """
        from torch import nn
        thing = nn.ReLU()
        thing.register_forward_hook(lambda layer, x, y: y * VALUE)
    """,
    "hook before": """
        from torch import nn
        thing = nn.ReLU()
        thing.register_forward_pre_hook(lambda layer, x: x[0] * VALUE)
    """,
    "forward of an instance": """
        from torch import nn
        thing = nn.ReLU()
        thing.forward = lambda x: x * VALUE
    """,
    "cached function": """
        import functools
        @functools.lru_cache
        def thing(x): return x * VALUE
    """,
    "recursion": """
        def thing(x): return thing(x - 1) * VALUE if x else 1
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=list(PROGRAMS))
def test_what_code_does_is_told_by_all_that_it_reads(program):
    one, same, other = (
        defined(program.replace("VALUE", value)).thing for value in ("1.5", "1.5", "2.5")
    )
    assert digest(one) == digest(same)
    assert digest(one) != digest(other)


def test_a_helper_in_another_module_counts(monkeypatch):
    helpers = defined("def scaled(x): return x * 2\nunused = 1")
    monkeypatch.setitem(sys.modules, "planted_helpers", helpers)
    helpers.__name__ = "planted_helpers"
    thing = defined("import planted_helpers\ndef thing(x): return planted_helpers.scaled(x)").thing
    inside = defined("def thing(x):\n import planted_helpers\n return planted_helpers.scaled(x)")
    before = digest(thing), digest(inside.thing)
    helpers.unused = 2
    assert (digest(thing), digest(inside.thing)) == before
    helpers.scaled = defined("def scaled(x): return x * 3").scaled
    assert digest(thing) != before[0]
    assert digest(inside.thing) != before[1]


@pytest.mark.parametrize(
    "thing",
    [
        random.Random(0),  # noqa: S311
        itertools.count(),
        io.BytesIO(),
        torch.Generator(),
        np.random.default_rng(0),
        iter([]),
        defined("def thing(): return open('scale.txt').read()").thing,
        defined("import os\ndef thing(): return os.environ['SCALE']").thing,
        defined("def thing(): return globals()['scale']").thing,
        defined("def thing(): return eval('scale')").thing,
        defined("def thing():\n import not_there_yet").thing,
        defined("def thing(): return rng.random()", rng=random.Random(0)).thing,  # noqa: S311
        torch.eye(2).to_sparse(),
        torch.empty(2, device="meta"),
    ],
)
def test_what_shows_no_content_is_not_told(thing):
    with pytest.raises(UntellableError):
        digest(thing)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_compiled_module_is_not_told():
    with pytest.raises(UntellableError):
        digest(torch.jit.script(nn.ReLU()))
    assert not all_code_is_known(torch.jit.script(nn.ReLU()))


def test_how_an_object_was_made_does_not_count():
    program = """
        class Layer:
            def __init__(self): open("/dev/null").close(); self.by = 1
        thing = Layer()
    """
    assert digest(defined(program).thing) == digest(defined(program).thing)


def test_known_code_is_that_of_torch_without_hooks(monkeypatch):
    layer = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    assert all_code_is_known(layer)
    assert not all_code_is_known(
        nn.Sequential(defined(PROGRAMS["module's attribute"].replace("VALUE", "1")).thing)
    )
    parametrizations.weight_norm(layer[0])
    assert all_code_is_known(layer)
    with monkeypatch.context() as patch:
        patch.setattr(nn.ReLU, "forward", lambda self, x: x)
        assert not all_code_is_known(layer)
    handle = layer[1].register_forward_hook(lambda layer, x, y: y)
    assert not all_code_is_known(layer)
    handle.remove()
    assert all_code_is_known(layer)


CONFIG = types.SimpleNamespace(scale=1)


def test_a_value_that_is_found_by_name_is_not_told():
    module = defined("def read():\n    return getattr(config, 'scale')\n", config=CONFIG)
    with pytest.raises(UntellableError, match="names 'getattr'"):
        digest(module.read)


def test_attributes_of_an_object_of_its_own_are_told():
    source = "class A:\n    def __init__(self, scale):\n        self.scale = scale\n"
    source += "    def read(self, name):\n        return getattr(self, name)\n"
    kind = defined(source).A
    assert digest(kind(1).read) == digest(kind(1).read)
    assert digest(kind(1).read) != digest(kind(2).read)


def test_modules_by_name_are_not_told():
    module = defined("import sys\ndef read():\n    return sys.modules['x'].scale\n")
    with pytest.raises(UntellableError, match=r"sys\.modules"):
        digest(module.read)


@pytest.fixture
def package(monkeypatch):
    """A package of the user's with a module whose name is one of Python's."""
    whole = types.ModuleType("planted_package")
    part = types.ModuleType("planted_package.code")
    whole.code, part.scale, whole.scale = part, 1, 1
    monkeypatch.setitem(sys.modules, "planted_package", whole)
    monkeypatch.setitem(sys.modules, "planted_package.code", part)
    return whole


@pytest.mark.parametrize(
    "line", ["from .code import scale", "from planted_package.code import scale"]
)
def test_what_a_function_imports_is_told(package, line):
    source = f"def read():\n    {line}\n    return scale\n"
    read = defined(source, __package__="planted_package").read
    before = digest(read)
    package.code.scale = 2
    assert digest(read) != before


def test_what_lies_in_a_package_is_not_taken_for_its_module(package):
    source = "def read():\n    import planted_package.code\n    return planted_package.scale\n"
    read = defined(source).read
    before = digest(read)
    package.scale = 2
    assert digest(read) != before


def test_an_import_of_nowhere_is_not_told():
    read = defined("def read():\n    from .nowhere import scale\n    return scale\n").read
    with pytest.raises(UntellableError, match="imports"):
        digest(read)


def test_a_wrapper_of_a_library_is_the_users_code():
    source = """
        import functools, torch
        def wrap(scale):
            @functools.wraps(torch.nn.functional.relu)
            def wrapper(x):
                return factor * x
            return wrapper
    """
    digests = [digest(defined(source, factor=factor).wrap(1)) for factor in (1, 2, 1)]
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    "source",
    [
        "from numpy import load\ndef read():\n    return load('s.npy')",
        "from numpy import fromfile as get\ndef read():\n    return get('s', 'f4')",
        "from os import getenv as env\ndef read():\n    return env('SCALE')",
        "import torch\ndef read():\n    return torch.from_file('s', size=1)",
    ],
)
def test_what_reads_from_outside_is_not_told_under_any_name(source):
    with pytest.raises(UntellableError, match="names"):
        digest(defined(source).read)


def test_a_module_that_makes_its_attributes_is_not_told():
    helper = types.ModuleType("planted_helper")
    helper.__getattr__ = lambda name: 1
    read = defined("def read():\n    return helper.SCALE", helper=helper).read
    with pytest.raises(UntellableError, match="'planted_helper' may hold anything"):
        digest(read)


def test_equal_numbers_of_other_types_are_told_apart_in_any_order():
    things = [(1, 2), (1.0, 2), (True, 2), ((1,), 2), ((True,), 2), (0.0,), (-0.0,), ("1", 2)]
    for order in (things, things[::-1]):
        digests = [Content().digest(thing) for thing in order]
        assert len(set(digests)) == len(things)


def test_a_module_is_told_anew_after_each_change():
    layer = torch.nn.Conv2d(3, 4, 3)
    before = Content().digest(layer)
    layer.stride = (1.0, 1)
    assert Content().digest(layer) != before
    layer.stride = (1, 1)
    assert Content().digest(layer) == before
    layer.padding_mode = "reflect"
    assert Content().digest(layer) != before
