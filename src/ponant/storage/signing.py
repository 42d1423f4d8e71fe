"""Signatures of what the server has promised, made with a secret that stays on this machine."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ponant.storage.errors import StorageError

_SECRET_BYTES = 32


class Signer:
    """Signs texts. Servers with the same data folder make and take the same signatures."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def open(cls, path: Path) -> "Signer":
        """A signer with the secret of a file, which is made for this user alone if need be. Raises StorageError."""
        try:
            if not path.exists():
                _write_secret(path)
            secret = path.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot keep a secret in data_dir: {error}") from error
        if len(secret) != _SECRET_BYTES:
            raise StorageError(f"{path} is damaged; remove it, and signed addresses made so far no longer work")
        return cls(secret)

    def sign(self, text: str) -> str:
        """The signature of a text."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def verifies(self, text: str, signature: str) -> bool:
        """Whether this is the signature of a text."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode())


def _write_secret(path: Path) -> None:
    """Write a new secret, whole from its first moment; one that another server has just written stays."""
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
