"""The Python client: the API of the reference pages, over HTTP or in-process."""
