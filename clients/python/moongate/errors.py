"""What goes wrong, by what the caller can do about it."""


class MoongateError(OSError):
    """Anything that a server or the way to it did; the text says what."""


class Unreachable(MoongateError):
    """No connection, or it broke, and trying again did not help: is the server running?"""


class Refused(MoongateError):
    """The server said no."""

    def __init__(self, status: int, reason: str):
        super().__init__(f"{reason} (status {status})")
        self.status = status
        self.reason = reason


class Missing(MoongateError):
    """Some of what was asked for could not be had; all that could has come before.

    `errors`: a dict of path or file id to the reason.
    """

    def __init__(self, errors: dict[str, str]):
        first = next(iter(errors.items()), ("", ""))
        super().__init__(f"{len(errors)} could not be read, such as {first[0]}: {first[1]}")
        self.errors = errors
