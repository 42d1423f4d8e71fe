"""The OpenAPI documents of the API: that of the Mistral API, and that of NVIDIA NIM's dialect."""
