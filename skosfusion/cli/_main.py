"""From the command line to an exit code."""

import contextlib
import importlib
import os
import sys
import warnings

from .. import __version__
from . import _errors as errors
from ._configuration import (
    for_other_rows,
    read_configuration,
    refuse_contradictions,
    write_configuration,
)
from ._output import Output
from ._parser import COMMANDS, explicit_options, joined, make_parser, unknown_arguments
from ._remedies import with_options


def main(arguments=None):
    """Run the command `skosfusion`.

    Parameters
    ----------
    arguments : list of str or None, default=None
        What stands behind the command's name; None takes that of this process.

    Returns
    -------
    int
        The exit code: 0 done, 1 failed while running, 2 wrong options, 3 problems in the tables or
        images, 130 interrupted.

    Examples
    --------
    >>> from skosfusion.cli import main
    >>> main(["--version"])
    skosfusion 0.2.0
    0
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    output = Output(as_json="--json" in arguments)
    try:
        options = _parse(arguments, output)
        if options is None:
            return errors.DONE
        record = _run(options, output)
    except SystemExit as error:  # help was asked for
        return int(error.code or 0)
    except KeyboardInterrupt:
        return _failed(output, errors.INTERRUPTED, _interrupted(arguments))
    except errors.UsageError as error:
        return _failed(output, errors.WRONG_OPTIONS, with_options(str(error)))
    except errors.DataProblemError as error:
        return _failed(output, errors.WRONG_DATA, with_options(str(error)))
    except BrokenPipeError:
        # Whoever reads has enough; Python would write what is left when it ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.FAILED
    except (ArithmeticError, ImportError, OSError, TypeError, ValueError) as error:
        text = str(error) or type(error).__name__
        return _failed(output, errors.FAILED, with_options(text))
    record = {"command": options.command, "exit_code": errors.DONE} | record
    output.finish(record)
    return record["exit_code"]


def _parse(arguments, output):
    """Return the options of the command; None where all is said."""
    parser, commands = make_parser()
    options, extras = parser.parse_known_args(arguments)
    if vars(options).pop("version"):
        output.say(f"skosfusion {__version__}")
        return None
    command = options.command
    if command is None:
        output.say(parser.format_help().rstrip())
        return None
    own = commands[command]
    if extras:
        own.error(unknown_arguments(own, extras))
    configuration = None
    if options.config is not None:
        configuration = _add_file(options, arguments[arguments.index(command) + 1 :], commands)
    del options.command
    before = dict(vars(options))
    if COMMANDS[command].check is not None:
        COMMANDS[command].check(own, options)
    if options.write_config is not None and command != "check":  # which adds what it guesses
        write_configuration(options.write_config, joined(before), command)
        output.say(f"written: {options.write_config}")
    options.command, options.configuration = command, configuration
    return options


def _add_file(options, typed, commands):
    """Take the options of the configuration file that were not typed; return its name and digest.

    Options that were typed and stand in the file with another value are refused.
    """
    command, path = options.command, options.config
    others = [parser for name, parser in commands.items() if name != command]
    arguments, configuration = read_configuration(path, commands[command], others)
    try:
        from_file = joined(explicit_options(command, arguments, positionals=False))
    except errors.UsageError as error:
        raise errors.UsageError(f"--config {path}: {error}") from error
    given = joined(explicit_options(command, typed))
    if COMMANDS[command].takes_a_model:
        from_file = for_other_rows(given, from_file)
    refuse_contradictions(given, from_file, path)
    vars(options).update(from_file | given)
    if "image_table" in from_file or "image_table" in given:
        vars(options).pop("tables", None)
    return configuration


def _run(options, output):
    """Run the command, and return its record."""
    module = COMMANDS[options.command].module
    output.say("loading skosfusion")
    run = importlib.import_module(f".{module}", __package__).run
    with warnings.catch_warnings():
        # Whoever works with a command need not know in which line of which module they arise.
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: output.warn(with_options(str(message)))
        return run(options, output)


def _failed(output, code, text):
    """Say what went wrong, and return the exit code."""
    output.error(f"error: {text}")
    output.finish({"exit_code": code, "error": text})
    return code


def _interrupted(arguments):
    if arguments[:1] == ["ablation"]:
        return "interrupted; run the same command again to go on from here"
    return "interrupted"
