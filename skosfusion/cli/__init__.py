"""The command `skosfusion`."""
