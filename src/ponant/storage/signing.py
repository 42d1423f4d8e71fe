"""Signatures of download addresses, with a secret that stays on this machine."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ponant.private_files import read_bytes
from ponant.storage.errors import StorageError

_SECRET_BYTES = 32


class Signer:
    """Signs texts. Servers with the same data folder create and accept the same signatures."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def open(cls, path: Path) -> "Signer":
        """Return a signer with the secret of a file; create the file for this user only if there is none.

        Raises:
            StorageError: the file cannot be read or written, or is damaged.
        """
        try:
            if not path.exists():
                _write_secret(path)
            secret = read_bytes(path)
        except OSError as error:
            raise StorageError(f"cannot store the signing secret in data_dir: {error}") from error
        if len(secret) != _SECRET_BYTES:
            raise StorageError(f"{path} is damaged. Remove it; existing signed addresses become invalid")
        return cls(secret)

    def sign(self, text: str) -> str:
        """Return the signature of a text."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def verifies(self, text: str, signature: str) -> bool:
        """Return True if this is the signature of a text."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode())


def _write_secret(path: Path) -> None:
    """Create the file with a new secret atomically, unless another server has created it meanwhile."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
