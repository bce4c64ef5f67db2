"""What follows for a reference from what is known of the registry and of the files?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from loadline_contracts.model_uri import ModelReference, PlainFile, RegisteredAlias, RegisteredVersion

from loadline_operators.model_errors import AliasNotFoundError, ModelError, StoreUnavailableError, TransientError
from loadline_operators.planning import Resolution

NOT_ASKED_YET = "NotAskedYet"
"""Nothing newer is known than what the object's status says."""
COPYING = "CopyingModel"
RESOLVING = "ResolvingModel"
UNDER_WAY = frozenset({NOT_ASKED_YET, COPYING, RESOLVING})
"""Reasons that are no failure."""


@dataclass(frozen=True, kw_only=True)
class LastKnown:
    """What a reference was resolved to before: by this operator, or by one that is gone and left it in a status."""

    version: str
    digest: str
    confirmed: bool = False
    """This operator has asked since, so that a status tells nothing newer."""


@dataclass(frozen=True, kw_only=True)
class AliasFacts:
    """What is known of a model's aliases."""

    aliases: Mapping[str, str] | None = None
    """The version of each, as the registry stated it last; None before it ever answered."""
    error: ModelError | None = None
    """Why the last question got no answer."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of the bytes of a version or of a plain file."""

    digest: str = ""
    """The digest that stands, whose files were put on the store."""
    changed_digest: str | None = ""
    """The digest of the bytes that the registry has now, where that is another one; None before they were read."""
    error: ModelError | None = None
    """Why the last look failed."""
    copying: str = ""
    """What is being copied now."""


def short_sha256(sha256: str) -> str:
    """What stands for a version where no registry counts any."""
    return f"sha256:{sha256[:12]}"


def answer(
    reference: ModelReference, aliases: AliasFacts, models: Mapping[str, ModelFacts], last: LastKnown | None
) -> Resolution:
    """Resolve a reference; `models` is by version.

    Whatever the state, `version` and `digest` are the newest good ones, and empty when there never were any.
    """
    known = Resolution(
        state="pending",
        uri=reference.uri,
        version=last.version if last else "",
        digest=last.digest if last else "",
        reason=NOT_ASKED_YET,
        message=f"{reference.uri} is being looked up.",
        changed_digest=None,
    )
    confirmed = last is not None and last.confirmed
    match reference:
        case PlainFile():
            return _answer_for(known, short_sha256(reference.sha256), models, confirmed=confirmed)
        case RegisteredVersion():
            return _answer_for(known, reference.version, models, confirmed=confirmed)
        case RegisteredAlias():
            return _answer_for_alias(known, reference, aliases, models, confirmed=confirmed)


def _answer_for_alias(
    known: Resolution,
    reference: RegisteredAlias,
    facts: AliasFacts,
    models: Mapping[str, ModelFacts],
    *,
    confirmed: bool,
) -> Resolution:
    if facts.aliases is None:
        return _unanswered(known, known.version, facts.error) if facts.error else known
    version = facts.aliases.get(reference.alias)
    if version is None:
        return _unanswered(known, "", AliasNotFoundError(reference.name, reference.alias, "the registry"))
    return _stale(_answer_for(known, version, models, confirmed=confirmed), facts.error)


def _answer_for(known: Resolution, version: str, models: Mapping[str, ModelFacts], *, confirmed: bool) -> Resolution:
    facts = models.get(version, ModelFacts())
    if facts.error is not None and not (facts.digest and isinstance(facts.error, TransientError)):
        return _unanswered(known, version, facts.error)
    if facts.digest:
        found = replace(known, version=version, digest=facts.digest, changed_digest=facts.changed_digest)
        return _stale(_resolved(found), facts.error)
    same = bool(known.digest) and version == known.version
    if facts.copying and not same:
        return replace(known, reason=COPYING, message=f"Version {version}: {facts.copying}.")
    if not confirmed:
        return known
    if same:
        return _resolved(known)
    return replace(known, reason=RESOLVING, message=f"Version {version} is being looked up.")


def _unanswered(known: Resolution, version: str, error: ModelError) -> Resolution:
    """Say why there is no answer. Where merely nobody answers, the same version as before is the answer still."""
    if not isinstance(error, TransientError):
        return replace(known, state="failed", reason=error.reason, message=str(error))
    if known.digest and version == known.version:
        return _stale(_resolved(known), error)
    return replace(known, reason=error.reason, message=str(error))


def _resolved(found: Resolution) -> Resolution:
    return replace(found, state="resolved", reason="", message="")


def _stale(found: Resolution, error: ModelError | None) -> Resolution:
    # An object store that is down makes no answer old: what a digest means does not change.
    if error is None or found.state != "resolved" or isinstance(error, StoreUnavailableError):
        return found
    return replace(found, stale=True, reason=error.reason, message=str(error))
