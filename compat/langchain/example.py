from langchain_mistralai import ChatMistralAI

model = ChatMistralAI(model="mistral-small-latest", api_key="any", base_url="http://127.0.0.1:8000/v1", temperature=0)
print(model.invoke("In which city is the Eiffel Tower?").content)
