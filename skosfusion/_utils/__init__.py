"""What several rooms need and no user does."""
