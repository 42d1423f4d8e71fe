"""The migrations, oldest first.

To change the tables, change ``ponant.storage.tables`` and add a file here that does the same to databases that exist:
its ``revision`` is the next number, its ``down_revision`` the one before. SQLite changes a table by copying it, so
columns of a table that exists are changed within ``with op.batch_alter_table(...)``. A test says whether tables and
migrations agree. Released migrations are never changed.
"""
