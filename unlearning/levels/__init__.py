"""Levels: the loss on a user's events under models that never saw the user, measured by fits on parts of the users."""
