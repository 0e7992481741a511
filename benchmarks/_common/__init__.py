"""What all scripts share: the base of their options, the machine, and files that are whole."""
