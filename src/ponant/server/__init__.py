"""The HTTP side: requests in, wire types on, responses out."""
