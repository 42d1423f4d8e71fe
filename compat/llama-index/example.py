from llama_index.llms.mistralai import MistralAI

llm = MistralAI(model="mistral-small-latest", api_key="any", endpoint="http://127.0.0.1:8000", temperature=0)
print(llm.complete("In which city is the Eiffel Tower?"))
