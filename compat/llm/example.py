import llm

models = """
- model_id: ponant
  model_name: mistral-small-latest
  api_base: http://127.0.0.1:8000/v1
  supports_schema: true
  supports_tools: true
"""
(llm.user_dir() / "extra-openai-models.yaml").write_text(models)

print(llm.get_model("ponant").prompt("In which city is the Eiffel Tower?", temperature=0).text())
