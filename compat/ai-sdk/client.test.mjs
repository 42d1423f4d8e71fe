import { equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { createMistral } from '@ai-sdk/mistral'
import { embedMany, generateText, Output, streamText, tool } from 'ai'
import { z } from 'zod'

const mistral = createMistral({ apiKey: 'any', baseURL: `${process.env.PONANT_URL}/v1` })
const model = mistral('mistral-small-latest')
const short = { model, prompt: 'In which city is the Eiffel Tower?', temperature: 0, maxOutputTokens: 24 }

const weather = z.object({ city: z.enum(['Paris', 'Rome']), unit: z.enum(['celsius', 'fahrenheit']) })
const asking = {
  ...short,
  prompt: 'What is the weather in Rome?',
  maxOutputTokens: 100,
  tools: { get_weather: tool({ description: 'The weather in a city', inputSchema: weather }) },
  toolChoice: { type: 'tool', toolName: 'get_weather' },
  providerOptions: { mistral: { parallelToolCalls: false } },
}

test('chat is answered', async () => {
  const { text, usage, finishReason } = await generateText(short)
  ok(text)
  match(finishReason, /^(stop|length)$/)
  ok(usage.inputTokens > 0)
})

test('stream joins to the answer', async () => {
  const pieces = []
  const { text } = await generateText(short)
  for await (const piece of streamText(short).textStream) pieces.push(piece)
  ok(pieces.length > 1)
  equal(pieces.join(''), text)
})

test('tools are called', async () => {
  const { toolCalls, finishReason } = await generateText(asking)
  equal(finishReason, 'tool-calls')
  equal(toolCalls.length, 1)
  weather.parse(toolCalls[0].input)
})

test('tools are called in a stream', async () => {
  const streamed = streamText(asking)
  const calls = await streamed.toolCalls
  equal(await streamed.finishReason, 'tool-calls')
  equal(calls.length, 1)
  weather.parse(calls[0].input)
})

test('tools give results that are read', async () => {
  const tools = { get_weather: tool({ inputSchema: weather, execute: async () => ({ degrees: 21 }) }) }
  const choices = [asking.toolChoice, 'none']
  const { steps } = await generateText({
    ...asking,
    tools,
    stopWhen: ({ steps }) => steps.length === 2,
    prepareStep: ({ stepNumber }) => ({ toolChoice: choices[stepNumber] }),
  })
  equal(steps.length, 2)
  equal(typeof steps[1].text, 'string')
})

test('structured output satisfies its schema', async () => {
  const { output } = await generateText({ ...asking, tools: undefined, toolChoice: undefined, output: Output.object({ schema: weather }) })
  weather.parse(output)
})

test('embeddings are made', async () => {
  const values = ['a lighthouse', 'a fox']
  const { embeddings } = await embedMany({ model: mistral.embeddingModel('mistral-embed'), values })
  equal(embeddings.length, 2)
  equal(embeddings[0].length, embeddings[1].length)
})

test('async answers come side by side', async () => {
  const answers = await Promise.all([generateText(short), generateText(short)])
  for (const { text } of answers) ok(text)
})
