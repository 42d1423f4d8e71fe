"""The C API of llama.cpp."""
