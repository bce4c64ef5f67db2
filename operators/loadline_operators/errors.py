"""What can go wrong between the operator and the world, and is it worth trying again?

OperatorError
├── ApiError               the API server refused or did not answer
│   ├── ConflictError      what we looked at has changed: look again, at once
│   │   └── AlreadyExistsError
│   ├── NotFoundError      the object, its namespace or its kind is not there
│   ├── RejectedError      forbidden or invalid: nothing changes until somebody changes something
│   │   └── NamespaceEndsError   nothing new is made in a namespace that is being deleted
│   └── UnavailableError   no answer, or "not now": try again later
└── NotLeaderError         another replica may write, this one may not
"""


class OperatorError(Exception):
    """The base of all that the operator raises itself."""


class ApiError(OperatorError):
    """The API server refused a request, or did not answer it."""

    def __init__(self, *, verb: str, target: str, code: str, message: str) -> None:
        super().__init__(f"The API server did not {verb} {target} ({code}): {message}")
        self.verb = verb
        self.target = target
        self.code = code
        self.message = message


class ConflictError(ApiError):
    """The object is not the one that was looked at: discard what was decided and look again."""


class AlreadyExistsError(ConflictError):
    """An object of that name is there already."""


class NotFoundError(ApiError):
    """There is no such object."""


class RejectedError(ApiError):
    """The request is forbidden or invalid, and will be until somebody changes an object or a permission."""


class NamespaceEndsError(RejectedError):
    """The namespace is being deleted, and everything in it with it."""


class UnavailableError(ApiError):
    """The API server did not answer, or asked to come back later."""

    def __init__(self, *, verb: str, target: str, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(verb=verb, target=target, code=code, message=message)
        self.retry_after = retry_after


class NotLeaderError(OperatorError):
    """A write was refused here, because the lease is not, or no longer surely, ours."""

    def __init__(self, *, verb: str, target: str) -> None:
        super().__init__(f"Did not {verb} {target}: this replica does not hold the lease")
