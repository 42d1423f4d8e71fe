from mistralai import Mistral

client = Mistral(api_key="any", server_url="http://127.0.0.1:8000")
messages = [{"role": "user", "content": "In which city is the Eiffel Tower?"}]
response = client.chat.complete(model="mistral-small-latest", messages=messages, temperature=0)
print(response.choices[0].message.content)
