import instructor
from mistralai.client import Mistral
from pydantic import BaseModel, Field


class Place(BaseModel):
    city: str = Field(max_length=40)


client = instructor.from_mistral(Mistral(api_key="any", server_url="http://127.0.0.1:8000"))
messages = [{"role": "user", "content": "In which city is the Eiffel Tower?"}]
place = client.create(
    model="mistral-small-latest", messages=messages, response_model=Place, temperature=0, max_tokens=100
)
print(place.city)
