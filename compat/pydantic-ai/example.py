from pydantic_ai import Agent
from pydantic_ai.models.mistral import MistralModel
from pydantic_ai.providers.mistral import MistralProvider

provider = MistralProvider(api_key="any", base_url="http://127.0.0.1:8000")
agent = Agent(MistralModel("mistral-small-latest", provider=provider), model_settings={"temperature": 0})
print(agent.run_sync("In which city is the Eiffel Tower?").output)
