"""Why can a model not be had, and is it worth asking again?

ModelError
├── ModelNotFoundError, VersionNotFoundError, AliasNotFoundError, VersionNotReadyError    the registry says so
├── NotServableError, ModelTooLargeError, DigestMismatchError                             the files say so
├── SourceRefusedError                                                                    an address says so
└── TransientError
    ├── RegistryUnavailableError                                                          the registry says nothing
    ├── SourceUnavailableError                                                            an address says nothing
    ├── StoreUnavailableError                                                             the object store says nothing
    └── UnforeseenError                                                                   the operator's log says more
"""

from typing import ClassVar


class ModelError(Exception):
    """A model could not be resolved; the text is for the object's condition."""

    reason: ClassVar[str]


class TransientError(ModelError):
    """There was no answer: the same question is worth asking again."""


class ModelNotFoundError(ModelError):
    """The registry has no model of this name."""

    reason: ClassVar[str] = "ModelNotFound"

    def __init__(self, model: str, registry: str) -> None:
        super().__init__(f"No model {model!r} in {registry}: register it, or correct spec.model.uri.")


class VersionNotFoundError(ModelError):
    """The registered model has no such version."""

    reason: ClassVar[str] = "VersionNotFound"

    def __init__(self, model: str, version: str, registry: str) -> None:
        super().__init__(
            f"Model {model!r} has no version {version} in {registry}: register it, or correct spec.model.uri."
        )


class AliasNotFoundError(ModelError):
    """The registered model has no such alias."""

    reason: ClassVar[str] = "AliasNotFound"

    def __init__(self, model: str, alias: str, registry: str) -> None:
        super().__init__(
            f"Model {model!r} has no alias {alias!r} in {registry}: "
            "set the alias on a version, or name a version in spec.model.uri."
        )


class VersionNotReadyError(ModelError):
    """The registry knows the version, but its registration has not ended, or ended badly."""

    reason: ClassVar[str] = "VersionNotReady"

    def __init__(self, model: str, version: str, status: str, registry: str) -> None:
        super().__init__(
            f"Version {version} of model {model!r} is {status} in {registry}: "
            "it is looked at again; register it anew if that stays."
        )


class NotServableError(ModelError):
    """The model's files hold nothing that a serving pod would open."""

    reason: ClassVar[str] = "NotServable"

    def __init__(self, model: str, why: str, remedy: str) -> None:
        super().__init__(f"{model} cannot be served: {why}. {remedy}")


class ModelTooLargeError(ModelError):
    """The model's files are larger than the operator copies."""

    reason: ClassVar[str] = "ModelTooLarge"

    def __init__(self, model: str, size: int, limit: int) -> None:
        super().__init__(
            f"{model} is larger than the limit: {size} of {limit} bytes. "
            "Make it smaller, or raise operator.maxModelBytes of the chart."
        )


class DigestMismatchError(ModelError):
    """The bytes are not those that were promised."""

    reason: ClassVar[str] = "DigestMismatch"

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(
            f"{what} has sha256 {found}, expected {expected}: put the right file there, or correct spec.model.sha256."
        )


class SourceRefusedError(ModelError):
    """The address of a file answers, and says no."""

    reason: ClassVar[str] = "SourceRefused"

    def __init__(self, what: str, said: str) -> None:
        super().__init__(
            f"{what} is refused ({said}): correct the address, or give access to the credentials in the Secret "
            "that modelFiles.s3.existingSecret of the chart names."
        )


class FilesLostError(ModelError):
    """The pinned files are on the store no more, and the registry has other bytes now."""

    reason: ClassVar[str] = "ModelFilesUnavailable"

    def __init__(self, model: str, version: str, digest: str) -> None:
        super().__init__(
            f"The object store has lost version {version} of model {model!r} ({digest}), "
            "and the registry has other bytes under that version now: register those as a new version."
        )


class RegistryUnavailableError(TransientError):
    """The registry does not answer, or answers that it cannot."""

    reason: ClassVar[str] = "RegistryUnavailable"

    def __init__(self, registry: str, said: str) -> None:
        super().__init__(f"{registry} does not answer as a registry ({said}); it is asked again.")


class SourceUnavailableError(TransientError):
    """The address of a file does not answer, or answers that it cannot."""

    reason: ClassVar[str] = "SourceUnavailable"

    def __init__(self, what: str, said: str) -> None:
        super().__init__(f"{what} could not be read ({said}); it is tried again.")


class StoreUnavailableError(TransientError):
    """The object store that holds the models' files does not answer."""

    reason: ClassVar[str] = "ModelFilesUnavailable"

    def __init__(self, doing: str, said: str) -> None:
        super().__init__(f"The object store of the models' files failed at {doing} ({said}); it is tried again.")


class UnforeseenError(TransientError):
    """The operator has a fault that this model has met."""

    reason: ClassVar[str] = "InternalError"

    def __init__(self, model: str, error: Exception) -> None:
        # The kind alone: a text that is another one each time would be written into the status each time.
        super().__init__(
            f"The operator failed at {model} in a way that it does not foresee ({type(error).__name__}); "
            "it tries again. Please report what its log says."
        )
