// Runs modules one after the other: reads {"program": ..., "output": ...} from each line of input.
import { openSync, closeSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const reply = process.stdout.write.bind(process.stdout);

for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  const output = openSync(task.output, "w");
  process.stdout.write = (text) => writeSync(output, text) >= 0;
  let error = null;
  try {
    await import(pathToFileURL(task.program));
  } catch (caught) {
    error = String(caught?.stack ?? caught);
  }
  process.stdout.write = reply;
  closeSync(output);
  reply(`${JSON.stringify({ error })}\n`);
}
