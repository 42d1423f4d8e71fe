"""From any earlier state of the database to the one of this version; run by Alembic at the start of a server."""
