"""Other spellings of the same requests and answers. The rest of the server speaks the Mistral API alone."""
