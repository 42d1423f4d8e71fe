"""Code samples: one request to the API, as a program in each language."""
