"""The tables. To add one, or a column: change this file, and add a migration (see ``migrations/versions``)."""

from sqlalchemy import BigInteger, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables. Constraints have names, so that migrations can change them in every database."""

    metadata = MetaData(naming_convention=_NAMES)


class StoredFile(Base):
    """A file that is kept; its content is a blob with the same id.

    Attributes:
        number: counts up in the order in which files came.
        id: a UUID.
        filename: what its sender called it; never a name on this disk.
        purpose, sample_type, source, visibility: as the API has them.
        mimetype: its media type.
        size: bytes of its content.
        num_lines: lines of its content, where it is made of lines.
        sha256: of its content, in hexadecimal.
        created_at: seconds since the epoch.
        expires_at: seconds since the epoch from which on it is gone; None if it stays.
    """

    __tablename__ = "files"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    filename: Mapped[str] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(String(32))
    sample_type: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(32))
    visibility: Mapped[str] = mapped_column(String(32))
    mimetype: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    num_lines: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger)
