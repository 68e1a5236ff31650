"""What an emulated service answers when it does not do as asked."""

from __future__ import annotations


class Refused(Exception):
    """An answer of AWS that is an error.

    Attributes:
        code: as in the service's model, for example `ClientException`.
        message: for people.
        status: of HTTP.
    """

    def __init__(self, message: str, *, code: str = "ClientException", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
