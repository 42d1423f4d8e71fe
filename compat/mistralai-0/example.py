from mistralai.client import MistralClient
from mistralai.models.chat_completion import ChatMessage

client = MistralClient(api_key="any", endpoint="http://127.0.0.1:8000")
messages = [ChatMessage(role="user", content="In which city is the Eiffel Tower?")]
response = client.chat(model="mistral-small-latest", messages=messages, temperature=0)
print(response.choices[0].message.content)
