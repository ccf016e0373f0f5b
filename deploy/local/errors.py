"""The one error of this package: what it says is the sentence that the person at the keyboard needs."""


class LocalServiceError(Exception):
    """A local service cannot be had; the message says why and what to do about it."""
