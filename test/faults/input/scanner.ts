/** Many more runs of the scanner, the checker of lines and their splitter against JSON.parse and plain code. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { createLineChecker } from '../../../src/engine/input/line.ts';
import { splitLines } from '../../../src/engine/input/lines.ts';
import {
  edited,
  edits,
  isSafeForOracle,
  jsonText,
  parse,
  parsed,
  scanned,
  space,
} from '../../helpers/json-oracle.ts';
import type { Fault, Trials } from '../harness/fault.ts';
import { lineFaultOf, linesOf } from './corpus.ts';

export const scannerAgainstOracle: Fault = {
  family: 'input',
  name: 'the scanner of lines and JSON.parse, over arbitrary JSON and mutations of it',
  async run(trials) {
    await trials.attempt('the same members in any JSON', async () => {
      check(
        trials,
        6000,
        fc.property(jsonText, (text) => agree(Buffer.from(text), true)),
      );
    });
    await trials.attempt('the same judgement of changed JSON', async () => {
      check(
        trials,
        20_000,
        fc.property(jsonText, edits, (text, changes) => agree(edited(Buffer.from(text), changes))),
      );
    });
    await trials.attempt('the same judgement of lines', async () => {
      check(
        trials,
        5000,
        fc.property(lineText, (text) => judgeLine(Buffer.from(text))),
      );
    });
    await trials.attempt('the same judgement of changed lines', async () => {
      check(
        trials,
        20_000,
        fc.property(lineText, edits, (text, changes) => judgeLine(edited(Buffer.from(text), changes))),
      );
    });
    await trials.attempt('the same lines, however the stream is cut', async () => {
      const property = fc.asyncProperty(fileBytes, cuts, splitsAlike);
      await fc.assert(property, runs(trials, 8000));
    });
  },
};

function check<T>(trials: Trials, count: number, property: fc.IProperty<T>): void {
  fc.assert(property, runs(trials, count));
}

function runs({ quick, seed }: Trials, count: number): { seed: number; numRuns: number } {
  return { seed, numRuns: quick ? count / 200 : count };
}

function agree(bytes: Buffer, isJson?: true): void {
  const expected = parsed(bytes);
  if (isJson) assert.notEqual(expected, null);
  assert.deepEqual(scanned(bytes), expected);
  // Within other bytes, as a line lies within a file.
  assert.deepEqual(scanned(bytes, '["', '"]1'), expected);
}

const ENDPOINT = '/v1/chat/completions';
const checker = createLineChecker({ endpoint: ENDPOINT });
/** Of those that `lineFaultOf` does not know: they depend on the values of strings. */
const VALUE_FAULTS = ['invalid_method', 'invalid_url', 'streaming_unsupported', 'string_above_max_length'];

/** A line whose members are right, wrong, absent or there twice, with names escaped or not. */
const lineText = fc
  .array(
    fc.tuple(
      space,
      fc.constantFrom(
        '"custom_id":"a"',
        '"custom\\u005fid" :"\\u00e9"',
        '"custom_id":7',
        '"custom_id": ""',
        '"method":"POST"',
        '"method": "P\\u004fST"',
        '"method":null',
        `"url":"${ENDPOINT}"`,
        `"url": "${ENDPOINT.replaceAll('/', '\\/')}"`,
        '"url":[]',
        '"body":{"model":"m"}',
        '"body":{"stream":true, "model":"m","stream":false}',
        '"b\\u006fdy" : {"mod\\u0065l":"m","model":1}',
        '"body":[{"model":"m"}]',
        '"x":{"body":{"model":1}}',
        '"__proto__":{"body":1}',
      ),
      jsonText,
    ),
    { minLength: 3, maxLength: 8 },
  )
  .map((members) =>
    members.map(([before, member, extra], i) => before + (i % 3 === 2 ? `"x${i}":${extra}` : member)),
  )
  .map((members) => [...REQUIRED, ...members])
  .map((members) => `{${members.join(',')}}`);

const REQUIRED = [
  '"custom_id":"a"',
  '"method":"POST"',
  `"url":"${ENDPOINT}"`,
  '"body":{"model":"m","messages":[]}',
];

function judgeLine(line: Buffer): void {
  fc.pre(isSafeForOracle(line));
  const found = checker.check(line, 0, line.length);
  const expected = lineFaultOf(line);
  if (found.fault === null) {
    const { custom_id: customId, body } = parse(line) as { custom_id: string; body: { model: string } };
    assert.deepEqual([found.customId, found.model, expected], [customId, body.model, null]);
    const { customIdStart, customIdEnd, bodyStart, bodyEnd } = found;
    assert.deepEqual(parse(line.subarray(customIdStart, customIdEnd)), customId);
    assert.deepEqual(parse(line.subarray(bodyStart, bodyEnd)), body);
  } else if (!VALUE_FAULTS.includes(found.fault.code) && !isEmptyId(found.fault.message)) {
    assert.deepEqual({ code: found.fault.code, param: found.fault.param }, expected);
  }
}

const isEmptyId = (message: string): boolean => message.includes('an empty string');

const fileBytes = fc
  .array(
    fc.oneof(
      fc
        .constantFrom('\n', '\r\n', '\r', ' ', '\t', '\uFEFF', '{}', 'é', 'x'.repeat(40))
        .map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 30 },
  )
  .map((pieces) => Buffer.concat(pieces));

const cuts = fc.array(fc.nat({ max: 30 }), { maxLength: 10 });

async function splitsAlike(bytes: Buffer, lengths: readonly number[]): Promise<void> {
  const found: { number: number; bytes: Buffer }[] = [];
  for await (const batch of splitLines(cut(bytes, lengths), { maxLineBytes: 1000 })) {
    batch.starts.forEach((start, i) => {
      const line = Buffer.from(batch.bytes.subarray(start, batch.ends[i]));
      const offset = batch.offset + start;
      assert.deepEqual(bytes.subarray(offset, offset + line.length), line, 'the offset is another');
      found.push({ number: batch.numbers[i] as number, bytes: line });
    });
  }
  assert.deepEqual(found, linesOf(bytes));
}

/** The bytes in pieces of these lengths, in one buffer that is used again and again. */
async function* cut(bytes: Buffer, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(bytes.length);
  let at = 0;
  for (const length of [...lengths, bytes.length]) {
    const size = bytes.copy(buffer, 0, at, at + length);
    yield buffer.subarray(0, size);
    at += size;
  }
}
