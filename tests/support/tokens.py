"""An issuer that a test plays itself: its key set, and the tokens that it signs."""

import json
import time
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "models"
LIFETIME_SECONDS = 300
_ALGORITHM = "RS256"
_KEY_ID = "one"


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """Somebody who says who a caller is, with one key."""

    url: str = "https://issuer.example.com"
    key: RSAPrivateKey = field(default_factory=_new_key, repr=False)

    def key_set(self) -> str:
        """The public key as a JWKS document."""
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**public, "kid": _KEY_ID, "use": "sig", "alg": _ALGORITHM}]})

    def token(self, **claims: object) -> str:
        """Sign a token for AUDIENCE that is valid for LIFETIME_SECONDS, unless the claims say otherwise."""
        said = {"iss": self.url, "aud": AUDIENCE, "exp": time.time() + LIFETIME_SECONDS, **claims}
        return jwt.encode(said, self.key, algorithm=_ALGORITHM, headers={"kid": _KEY_ID})
