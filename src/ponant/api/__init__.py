"""Wire types of the Mistral API (pydantic), shared by the server and the client."""
