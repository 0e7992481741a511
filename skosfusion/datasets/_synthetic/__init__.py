"""Drawing knees, and planning whose they are."""
