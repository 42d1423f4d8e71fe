from openai import OpenAI

client = OpenAI(api_key="any", base_url="http://127.0.0.1:8000/v1")
messages = [{"role": "user", "content": "In which city is the Eiffel Tower?"}]
response = client.chat.completions.create(model="mistral-small-latest", messages=messages, temperature=0)
print(response.choices[0].message.content)
