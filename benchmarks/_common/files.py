"""Files that are there whole or not at all, and the record of a run."""

from skosfusion.cli import set_aside, sweep_temporary_files, write_atomically, write_record

__all__ = ["set_aside", "sweep_temporary_files", "write_atomically", "write_record"]
