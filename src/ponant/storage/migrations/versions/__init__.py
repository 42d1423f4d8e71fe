"""Migrations, the oldest first.

To change the tables, change ``ponant.storage.tables`` and add a file here that makes the same change in existing
databases. Its ``revision`` is the next number, its ``down_revision`` the previous one. SQLite changes a table by
copying it, so change columns of existing tables within ``with op.batch_alter_table(...)``. A test compares the tables
with the migrations. Never change a released migration.
"""
