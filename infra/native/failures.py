"""What can go wrong in a way that the user can act on. Everything else is a bug and shows its traceback."""


class Failure(Exception):
    """Its text says what is wrong and what to do; the command prints it and exits with 1."""


class StartFailed(Failure):
    """A part or a job did not get ready; the text ends with the last lines it logged."""
