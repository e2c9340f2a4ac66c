"""What a command or a Python caller does: a file a use case, called by both."""
