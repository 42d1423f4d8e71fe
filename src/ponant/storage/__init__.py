"""What is kept: a database, and files beside it."""
