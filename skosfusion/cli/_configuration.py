"""Options from a file, so that a study can be repeated, and back into one."""

import argparse
import hashlib
import json
import os
import tomllib
from pathlib import Path

from .. import __version__
from .._utils.files import read_regular_file, write_atomically
from .._utils.validation import did_you_mean
from ._errors import UsageError
from ._options import NOT_DECIDING

_MAX_BYTES = 2**20
_PATHS = frozenset(
    {
        "tables",
        "image_table",
        "clinical_table",
        "image_folder",
        "data_home",
        "out",
        "model",
        "ablation",
    }
)
_TABLES = frozenset({"image_table", "clinical_table", "sheet", "clinical_sheet", "folders"})
# Paths where they name a file that is there, else words.
_MAY_BE_PATHS = frozenset({"weights"})
_NOT_IN_FILES = frozenset({"config", "write_config", "json"})


def read_configuration(path, parser, others):
    """Return the options of a file as arguments, and name and digest of the file.

    A file may serve several commands: options that only another command has are passed over.
    """
    try:
        content, _ = read_regular_file(path, _MAX_BYTES)
        settings = tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(f"--config {path}: there is no such file") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"--config {path}: {error}; this is TOML, in which texts stand in quotes: "
            'image-table = "table.csv"'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: {error}") from error
    actions = {name: a for name, a in parser.destinations().items() if name not in _NOT_IN_FILES}
    folder = Path(path).parent
    arguments = []
    for key, value in settings.items():
        name = key.replace("-", "_")
        if name == "tables":
            name = "image_table"
        if name in actions and not actions[name].option_strings:
            continue  # it is always typed
        if name not in actions:
            _refuse_unknown(key, name, path, actions, others)
            continue
        arguments += _arguments(key, value, actions[name], folder, path)
    digest = hashlib.sha256(content).hexdigest()
    return arguments, {"file": Path(path).name, "sha256": digest}


def _refuse_unknown(key, name, path, actions, others):
    """Refuse a key that is no option of any command."""
    if name not in _NOT_IN_FILES and any(name in other.destinations() for other in others):
        return
    known = [one.replace("_", "-") for one in actions]
    hint = did_you_mean(key, known)
    raise UsageError(f"--config {path}: {key!r} is not an option; {hint or 'see --help'}")


def _arguments(key, value, action, folder, path):
    """Return one entry of a file as it would be typed."""
    wrong = UsageError(f"--config {path}: {key} = {value!r:.200} is not {_kind_of(action)}")
    if isinstance(action, argparse._StoreTrueAction):
        if not isinstance(value, bool):
            raise wrong
        return action.option_strings[-1:] if value else []
    is_list = isinstance(action, argparse._AppendAction) or action.nargs in ("+", "*")
    if isinstance(value, dict) and isinstance(action, argparse._AppendAction):
        value = [f"{name}={_text(one, wrong)}" for name, one in value.items()]
    if isinstance(value, list) != is_list and not (is_list and isinstance(value, str)):
        raise wrong
    values = [_text(one, wrong) for one in (value if isinstance(value, list) else [value])]
    values = [_resolved(action.dest, one, folder) for one in values]
    option = action.option_strings[-1]
    if action.nargs in ("+", "*"):
        if any(one.startswith("-") for one in values):
            raise wrong
        return [option, *values]
    return [f"{option}={one}" for one in values]


def _kind_of(action):
    if isinstance(action, argparse._StoreTrueAction):
        return "true or false"
    if isinstance(action, argparse._AppendAction) or action.nargs in ("+", "*"):
        return "a list of texts"
    return "a number or a text" if action.type in (int, float) else "a text"


def _text(value, wrong):
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong
    return str(value)


def _resolved(name, text, folder):
    """Return a path in the file's folder where it is relative; anything else as it is."""
    if name in _PATHS or (name in _MAY_BE_PATHS and (folder / text).is_file()):
        return str(folder / text)
    return text


def for_other_rows(given, from_file):
    """Return the options of a file without the tables in it, where others are typed."""
    left_out = given.keys() & {"image_folder", *_TABLES}
    if given.keys() & {"image_table", "folders"}:
        # Those of the file are of the patients that the model was fitted on.
        left_out = left_out | _TABLES
    return {name: value for name, value in from_file.items() if name not in left_out}


def refuse_contradictions(given, from_file, path):
    """Raise UsageError where the command line and the file differ in what decides a result."""
    for name in sorted(given.keys() & from_file.keys()):
        if name in NOT_DECIDING or _same(name, given[name], from_file[name]):
            continue
        shown = "--" + name.replace("_", "-")
        raise UsageError(
            f"{shown} {_shown(given[name])} on the command line and {_shown(from_file[name])} in "
            f"{path} contradict each other; leave {shown} out, or change it in the file"
        )


def _same(name, one, other):
    if name in _PATHS:
        return _absolute(one) == _absolute(other)
    return one == other


def _absolute(paths):
    paths = paths if isinstance(paths, list) else [paths]
    return [os.path.abspath(path) for path in paths]


def _shown(value):
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def write_configuration(path, options, command):
    """Write the options of a run, so that `--config` repeats it; paths relative to the file."""
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise UsageError(f"--write-config {path}: there is no folder {str(folder)!r}")
    lines = [f"# skosfusion {__version__}: skosfusion {command} --config {Path(path).name}"]
    for name, value in sorted(options.items()):
        if name in _NOT_IN_FILES or value is None or value is False or value == []:
            continue
        if name in _PATHS or (name in _MAY_BE_PATHS and os.path.isfile(value)):
            one = isinstance(value, list)
            value = [_relative(part, folder) for part in value] if one else _relative(value, folder)
        lines.append(f"{name.replace('_', '-')} = {_toml(value)}")
    write_atomically(Path(path), ("\n".join(lines) + "\n").encode())


def _relative(path, folder):
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive of Windows
        return os.path.abspath(path)


def _toml(value):
    if isinstance(value, list):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    # A string of JSON is one of TOML, but for this one character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
