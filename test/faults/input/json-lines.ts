/** JSON of every kind as lines of input files, and as the bodies of lines. */
import assert from 'node:assert/strict';
import type { Trials } from '../harness/fault.ts';
import { hashOf } from '../harness/upstream.ts';
import type { World } from '../harness/world.ts';
import { fileOf, groupsOf, inputLine, resultLines, runBatch, upload } from './batches.ts';
import type { InputBatch } from './batches.ts';
import { jsonTexts, lineFaultOf, linesOf, NOT_JSON, parseStrictly } from './corpus.ts';
import type { JsonText } from './corpus.ts';
import { assertOk, assertRefused } from './http.ts';
import { assertAlive } from './still-works.ts';

const GOOD = inputLine('"good"', '{"model":"m"}');
/** Validation tells at most 100 errors of a file; a text with line breaks in it is several lines. */
const TEXTS_A_FILE = 60;

/** Every text as a whole file, as a line, and as the body of a line. */
export async function jsonAsLines(trials: Trials, world: World): Promise<void> {
  const texts = jsonTexts(trials);
  await trials.each(texts, async (text) => {
    await trials.attempt(`${text.name} as a whole file`, () => checkFile(world, text));
    await trials.attempt(`${text.name} as a line beside a good one`, async () => {
      await checkBatch(world, fileOf([GOOD, text.bytes]));
    });
  });
  await trials.each(groupsOf(texts, TEXTS_A_FILE), async (group) => {
    await trials.attempt(`the body of lines: from ${group[0]?.name} on`, async () => {
      await checkBatch(world, fileOf([GOOD, ...group.map(asBody)]));
      await checkBatch(world, fileOf([GOOD, ...group.map(withinBody)]));
    });
  });
  const valid = texts.filter(isOneLine);
  await trials.attempt('valid ones reach the upstream byte for byte', () => checkBytes(world, valid));
}

const asBody = ({ bytes }: JsonText, i: number): Buffer => inputLine(`"${i}"`, bytes);

const withinBody = ({ bytes }: JsonText, i: number): Buffer => inputLine(`"${i}"`, bodyAround(bytes));

/** A body that is a request where `bytes` are JSON. */
function bodyAround(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('{"model":"m","input":'), bytes, Buffer.from('}')]);
}

const isOneLine = ({ bytes, isJson }: JsonText): boolean => isJson && !bytes.includes('\n');

/** A longer first line is only judged when its batch is, bytes. */
const LOOK_BYTES = 256 * 1024;

/** An upload is refused where its first line is not JSON, and only then. */
async function checkFile(world: World, { bytes }: JsonText): Promise<void> {
  const first = linesOf(bytes)[0];
  const answer = await upload(world, bytes);
  if (first !== undefined && first.bytes.length > LOOK_BYTES) assertOk(answer);
  else if (first !== undefined && parseStrictly(first.bytes) !== NOT_JSON) assertOk(answer);
  else assert.match(assertRefused(answer, [400]).message, /^Invalid file format/);
  assertAlive(world);
}

/** The batch fails with exactly the faults that its lines have, or completes where they have none. */
async function checkBatch(world: World, file: Buffer): Promise<InputBatch> {
  const batch = await runBatch(world, file);
  const found = batch.errors?.data.map(({ line, code, param }) => ({ line, code, param })) ?? [];
  const expected = linesOf(file).flatMap(({ number, bytes }) => {
    const fault = lineFaultOf(bytes);
    return fault === null ? [] : [{ line: number, code: fault.code, param: fault.param }];
  });
  assert.deepEqual(found, expected);
  assert.equal(batch.status, expected.length === 0 ? 'completed' : 'failed');
  return batch;
}

async function checkBytes(world: World, texts: readonly JsonText[]): Promise<void> {
  // What stands around the body is not part of it.
  const bodies = texts.map(({ bytes }, i) =>
    Buffer.concat([Buffer.from(`{ "n" : ${i},\t"model":"m","input":`), bytes, Buffer.from(' }')]),
  );
  const batch = await checkBatch(world, fileOf(bodies.map((body, i) => inputLine(` "${i}" `, body))));
  bodies.forEach((body, i) => {
    const calls = world.upstream.callsOf(hashOf(body));
    assert.equal(calls.length, 1, `${texts[i]?.name} reached the upstream ${calls.length} times`);
  });
  const lines = await resultLines(world, batch.output_file_id);
  assert.equal(lines.length, bodies.length);
}
