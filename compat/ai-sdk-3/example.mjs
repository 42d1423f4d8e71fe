import { createMistral } from '@ai-sdk/mistral'
import { generateText } from 'ai'

const mistral = createMistral({ apiKey: 'any', baseURL: 'http://127.0.0.1:8000/v1' })
const prompt = 'In which city is the Eiffel Tower?'
const { text } = await generateText({ model: mistral('mistral-small-latest'), prompt, temperature: 0 })
console.log(text)
