"""Runs of the code samples: each program makes its request, which is compared with the documented one."""
