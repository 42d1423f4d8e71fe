"""One chat request, end to end."""
