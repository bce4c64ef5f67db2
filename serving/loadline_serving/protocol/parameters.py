"""Which parameters of a V2 message must not be passed over in silence?

The protocol lets a server ignore what it does not know. These ask for another place or another form of the data: a
caller that is ignored would read something wrong.
"""

from collections.abc import Iterable

from loadline_serving.errors import BadRequestError

FOREIGN = {
    "shared_memory_region": "shared memory",
    "classification": "classification",
}
"""The parameter, and the extension that it belongs to."""


def refuse_foreign(parameters: Iterable[str], owner: str) -> None:
    """Refuse a parameter of an extension that this server does not announce."""
    for name in parameters:
        if name in FOREIGN:
            raise BadRequestError(
                f"{owner} has the parameter '{name}' of the {FOREIGN[name]} extension, which this server does not "
                "have; leave it out"
            )
