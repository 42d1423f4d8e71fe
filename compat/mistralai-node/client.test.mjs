import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { Mistral } from '@mistralai/mistralai'
import { z } from 'zod'

const client = new Mistral({ apiKey: 'any', serverURL: process.env.PONANT_URL })
const messages = [{ role: 'user', content: 'In which city is the Eiffel Tower?' }]
const short = { model: 'mistral-small-latest', messages, temperature: 0, maxTokens: 24 }

const Weather = z.object({ city: z.enum(['Paris', 'Rome']), unit: z.enum(['celsius', 'fahrenheit']) })
const parameters = {
  type: 'object',
  properties: {
    city: { type: 'string', enum: ['Paris', 'Rome'] },
    unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
  },
  required: ['city', 'unit'],
}
const asking = {
  ...short,
  messages: [{ role: 'user', content: 'What is the weather in Rome?' }],
  maxTokens: 100,
  tools: [{ type: 'function', function: { name: 'get_weather', parameters } }],
  toolChoice: 'any',
  parallelToolCalls: false,
}

test('chat is answered', async () => {
  const { choices, usage } = await client.chat.complete(short)
  ok(choices[0].message.content)
  match(choices[0].finishReason, /^(stop|length)$/)
  equal(usage.totalTokens, usage.promptTokens + usage.completionTokens)
})

test('chat errors are typed', async () => {
  await rejects(client.chat.complete({ ...short, model: 'no-such-model' }), { statusCode: 400 })
})

test('stream joins to the answer', async () => {
  const pieces = []
  for await (const { data } of await client.chat.stream(short)) pieces.push(data.choices[0].delta.content ?? '')
  const { choices } = await client.chat.complete(short)
  ok(pieces.length > 1)
  equal(pieces.join(''), choices[0].message.content)
})

test('tools are called, and their results read', async () => {
  const { choices } = await client.chat.complete(asking)
  equal(choices[0].finishReason, 'tool_calls')
  const [call] = choices[0].message.toolCalls
  Weather.parse(JSON.parse(call.function.arguments))
  const result = { role: 'tool', toolCallId: call.id, name: 'get_weather', content: '21 degrees' }
  const next = { ...asking, messages: [...asking.messages, choices[0].message, result], toolChoice: 'none' }
  equal(typeof (await client.chat.complete(next)).choices[0].message.content, 'string')
})

test('tools are called in a stream', async () => {
  const pieces = []
  for await (const { data } of await client.chat.stream(asking)) pieces.push(...(data.choices[0].delta.toolCalls ?? []))
  deepEqual([...new Set(pieces.map((piece) => piece.index))], [0])
  equal(pieces[0].function.name, 'get_weather')
  Weather.parse(JSON.parse(pieces.map((piece) => piece.function.arguments).join('')))
})

test('structured output is parsed', async () => {
  const { choices } = await client.chat.parse({ ...short, maxTokens: 100, responseFormat: Weather })
  Weather.parse(choices[0].message.parsed)
})

test('embeddings are made', async () => {
  const { data } = await client.embeddings.create({ model: 'mistral-embed', inputs: ['a lighthouse', 'a fox'] })
  equal(data.length, 2)
  equal(data[0].embedding.length, data[1].embedding.length)
})

test('fim fills in', async () => {
  const request = { model: 'codestral-latest', prompt: 'def add(a, b):\n    return', suffix: '\n', maxTokens: 12 }
  const { choices } = await client.fim.complete({ ...request, temperature: 0 })
  equal(typeof choices[0].message.content, 'string')
})

test('fim is streamed', async () => {
  const request = { model: 'codestral-latest', prompt: 'def add(a, b):\n    return', maxTokens: 12, temperature: 0 }
  const ends = []
  for await (const { data } of await client.fim.stream(request)) ends.push(data.choices[0].finishReason)
  ok(ends.at(-1))
})

test('async answers come side by side', async () => {
  const answers = await Promise.all([client.chat.complete(short), client.chat.complete(short)])
  for (const { choices } of answers) ok(choices[0].message.content)
})
