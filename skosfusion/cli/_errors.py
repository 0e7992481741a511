"""What can go wrong for a user, and the exit code of each kind."""

import contextlib

DONE, FAILED, WRONG_OPTIONS, WRONG_DATA, INTERRUPTED = 0, 1, 2, 3, 130

EXIT_CODES = f"""\
exit codes:
  {DONE}    done
  {FAILED}    failed while running; the message names the cause
  {WRONG_OPTIONS}    wrong options, or options that contradict each other or the configuration file
  {WRONG_DATA}    problems in the tables or images; nothing was trained
  {INTERRUPTED}  interrupted (Ctrl-C)
"""


class UsageError(ValueError):
    """The options are wrong."""


class DataProblemError(ValueError):
    """The tables or images are wrong."""


class FolderInUseError(OSError):
    """Another run writes to the output folder."""


@contextlib.contextmanager
def data_problems():
    """Turn what a library says of tables and images into the error of that kind."""
    try:
        yield
    except (UsageError, DataProblemError):
        raise
    except (OSError, TypeError, ValueError) as error:
        raise DataProblemError(str(error)) from error
