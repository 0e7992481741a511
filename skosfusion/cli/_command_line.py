"""Options as one types them: what was guessed added, and the whole line written out."""

import argparse
import copy
import shlex

_WIDTH = 96


def with_guesses(parser, options, guessed):
    """Return options with those that were guessed; what was given stays as it is.

    `guessed` are pairs of an option and its value.
    """
    options, actions = copy.copy(options), parser.destinations()
    for option, value in guessed:
        name = option.removeprefix("--").replace("-", "_")
        current = getattr(options, name)
        if isinstance(actions[name], argparse._AppendAction):
            setattr(options, name, [*(current or []), value])
        elif current == actions[name].default:
            setattr(options, name, value)
    return options


def written(command, parser, options, *, left_out=()):
    """Return the command line that gives these options, on lines that fit a page."""
    words = [["skosfusion", command]]
    for name, action in parser.destinations().items():
        value = getattr(options, name, None)
        if name in left_out or value is None or value == action.default or value == []:
            continue
        if name == "image_table":
            words[0] += map(str, value)
        elif value is True:
            words.append([action.option_strings[-1]])
        elif action.nargs in ("+", "*"):
            words.append([action.option_strings[-1], *map(str, value)])
        else:
            values = value if isinstance(value, list) else [value]
            words += [[action.option_strings[-1], str(one)] for one in values]
    return _wrapped([shlex.join(part) for part in words])


def _wrapped(parts):
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < _WIDTH:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {part}")
    return "\n".join(lines)
