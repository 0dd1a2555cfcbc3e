/** JSON of every kind as the bodies of requests, and as the answers of the upstream. */
import assert from 'node:assert/strict';
import type { Trials } from '../harness/fault.ts';
import type { World } from '../harness/world.ts';
import { fileOf, get, inputLine, postBatch, resultLines, runBatch } from './batches.ts';
import type { InputBatch } from './batches.ts';
import { jsonTexts, NOT_JSON, parseStrictly } from './corpus.ts';
import type { JsonText } from './corpus.ts';
import { ask, assertOk, assertRefused, requestBytes } from './http.ts';
import { assertAlive } from './still-works.ts';

/** Every text as the body of a create. */
export async function jsonAsCreates(trials: Trials, world: World): Promise<void> {
  await trials.each(jsonTexts(trials), async (text) => {
    await trials.attempt(text.name, () => checkRequest(world, text));
  });
  assert.deepEqual(await world.client.list(), [], 'none of them has created a batch');
}

async function checkRequest(world: World, { bytes, isJson }: JsonText): Promise<void> {
  const error = assertRefused(await postBatch(world, bytes), [400]);
  // Without a length nothing but the bytes themselves can be at fault.
  const chunked = assertRefused(await postChunked(world, bytes), [400]);
  assert.deepEqual(chunked, error);
  if (bytes.length === 0) assert.equal(error.code, 'missing_required_parameter');
  else if (!isJson) assert.match(error.message, /^We could not parse the JSON body/);
  else assert.equal(error.code, isObject(bytes) ? 'missing_required_parameter' : 'invalid_type');
  assertAlive(world);
}

function isObject(bytes: Buffer): boolean {
  const value = parseStrictly(bytes);
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function postChunked(world: World, bytes: Buffer) {
  const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
  const chunks = bytes.length === 0 ? [] : [Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, CRLF];
  const head = requestBytes({ method: 'POST', target: '/v1/batches', headers });
  return await ask(world.service.url, Buffer.concat([head, ...chunks, Buffer.from('0\r\n\r\n')]));
}

const CRLF = Buffer.from('\r\n');

/** Every text as an answer of the upstream. */
export async function jsonAsAnswers(trials: Trials, world: World): Promise<void> {
  for (const status of [200, 400]) await checkAnswers(world, trials, status);
  world.upstream.script = () => null;
}

/** One batch whose line n is answered with text n. */
async function checkAnswers(world: World, trials: Trials, status: number): Promise<void> {
  const texts = jsonTexts(trials);
  world.upstream.script = ({ json }) => {
    const text = texts[json['n'] as number];
    return text === undefined ? null : { status, body: text.bytes };
  };
  const lines = texts.map((_, n) => inputLine(`"${n}"`, `{"model":"m","n":${n}}`));
  const batch = await runBatch(world, fileOf(lines));
  assert.equal(batch.status, 'completed');
  const results = await resultsOf(world, batch);
  for (const [n, text] of texts.entries()) {
    await trials.attempt(`${text.name} with status ${status}`, async () => {
      checkResult(text, status, results.get(String(n)));
    });
  }
  assert.equal(results.size, texts.length);
  await checkUsageIsSane(world, batch);
}

interface Result {
  readonly isOutput: boolean;
  /** The whole line. */
  readonly bytes: Buffer;
  readonly error: { readonly code: string } | null;
}

async function resultsOf(world: World, batch: InputBatch): Promise<Map<string, Result>> {
  const results = new Map<string, Result>();
  for (const fileId of [batch.output_file_id, batch.error_file_id]) {
    for (const bytes of await resultLines(world, fileId)) {
      const line = parseStrictly(bytes);
      assert.notEqual(line, NOT_JSON, `a result line that is not JSON: ${bytes.toString().slice(0, 200)}`);
      const { custom_id: customId, error } = line as { custom_id: string; error: Result['error'] };
      assert.ok(!results.has(customId), `two results for ${customId}`);
      results.set(customId, { isOutput: fileId === batch.output_file_id, bytes, error });
    }
  }
  return results;
}

/** A JSON answer is in the line byte for byte, save line breaks; any other is a failure, or text where it failed anyway. */
function checkResult({ bytes, isJson }: JsonText, status: number, result: Result | undefined): void {
  assert.ok(result !== undefined, 'the line has no result');
  assert.equal(result.isOutput, isJson && status === 200);
  if (!isJson && status === 200) {
    assert.equal(result.error?.code, 'invalid_response');
    return;
  }
  assert.equal(result.error, null);
  const body = isJson
    ? bytes.toString('latin1').replaceAll(/[\r\n]/g, ' ')
    : Buffer.from(JSON.stringify(bytes.toString())).toString('latin1');
  const line = result.bytes.toString('latin1');
  const at = line.indexOf('"body":') + '"body":'.length;
  assert.ok(
    line.slice(at) === `${body}},"error":null}`,
    `not the answer that was given: ${line.slice(0, 300)}`,
  );
}

/** Some texts are objects, none has a usage. */
async function checkUsageIsSane(world: World, { id }: InputBatch): Promise<void> {
  const { usage } = assertOk(await get(world, `/v1/batches/${id}`)) as { usage: object };
  assert.match(JSON.stringify(usage), /"total_tokens":0\}$/);
}
