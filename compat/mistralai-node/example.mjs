import { Mistral } from '@mistralai/mistralai'

const client = new Mistral({ apiKey: 'any', serverURL: 'http://127.0.0.1:8000' })
const messages = [{ role: 'user', content: 'In which city is the Eiffel Tower?' }]
const response = await client.chat.complete({ model: 'mistral-small-latest', messages, temperature: 0 })
console.log(response.choices[0].message.content)
