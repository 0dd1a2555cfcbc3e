/** Forms that no honest client sends. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Trials } from '../harness/fault.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { field, filePart, FORM_TYPE, formBytes, get } from './batches.ts';
import type { Part } from './batches.ts';
import { ask, assertClean, assertOk, assertRefused, exchange, requestBytes } from './http.ts';
import type { Answer } from './http.ts';
import { assertAlive, residentBytes } from './still-works.ts';

const MIB = 1024 * 1024;
/** What all forms together may leave behind in memory; many of them have megabytes. */
const HELD_BYTES = 150 * MIB;

const PURPOSE = field('purpose', 'batch');
const FILE = filePart('{}\n');

interface OddForm {
  readonly body: Uint8Array | string;
  /** Content-Type, where it is another. */
  readonly type?: string;
  /** More headers, or others. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The name that the file gets, where the form is accepted; `either`: some readings of it are. Else it is refused. */
  readonly accepted?: string;
}

const form = (...parts: readonly Part[]): OddForm => ({ body: formBytes(parts) });
const accepted = (name: string, ...parts: readonly Part[]): OddForm => ({
  ...form(...parts),
  accepted: name,
});
const withBoundary = (boundary: string, written = boundary): OddForm => ({
  body: formBytes([PURPOSE, FILE], boundary),
  type: `multipart/form-data; boundary=${written}`,
});
const head = (...lines: readonly string[]): string => lines.join('\r\n');
const DISPOSITION = 'Content-Disposition: form-data; name="file"; filename="input.jsonl"';
const WHOLE = formBytes([PURPOSE, FILE]);

const ODD_FORMS: Readonly<Record<string, OddForm>> = {
  'no body': { body: '' },
  'only the last boundary': form(),
  'only line breaks': { body: '\r\n'.repeat(10_000) },
  'text that is no form': { body: 'purpose=batch' },
  'no purpose': form(FILE),
  'no file': form(PURPOSE),
  '10,000 fields': form(...Array.from({ length: 10_000 }, (_, i) => field(`f${i}`, 'x')), PURPOSE, FILE),
  '10,000 files': form(PURPOSE, ...Array.from({ length: 10_000 }, () => FILE)),
  '10,000 fields of one name': form(...Array.from({ length: 10_000 }, () => field('a', 'x')), FILE),
  'two files': form(PURPOSE, FILE, FILE),
  'two purposes': { ...form(PURPOSE, field('purpose', 'evals'), FILE), accepted: 'either' },
  'a boundary of 252 bytes': { ...withBoundary('b'.repeat(252)), accepted: 'either' },
  'a boundary of 10,000 bytes': { ...withBoundary('b'.repeat(10_000)), accepted: 'either' },
  'a boundary of no bytes': withBoundary(''),
  'an empty boundary in quotes': withBoundary('', '""'),
  'a boundary with spaces': { ...withBoundary('a b c', '"a b c"'), accepted: 'either' },
  'a boundary that is never used': { ...withBoundary('a'), type: 'multipart/form-data; boundary=b' },
  'a type without a boundary': { body: WHOLE, type: 'multipart/form-data' },
  'two boundaries': { body: WHOLE, type: `${FORM_TYPE}; boundary=other`, accepted: 'either' },
  'another type': { body: WHOLE, type: 'application/json' },
  'another multipart type': { body: WHOLE, type: FORM_TYPE.replace('form-data', 'mixed') },
  'a type that only begins like a form': { body: WHOLE, type: FORM_TYPE.replace('form-data', 'form-datax') },
  'a field __proto__': form(field('__proto__', 'x'), PURPOSE, FILE),
  'a field constructor': form(field('constructor', 'x'), PURPOSE, FILE),
  'a file __proto__': form(PURPOSE, {
    head: 'Content-Disposition: form-data; name="__proto__"; filename="a"',
    content: '{}',
  }),
  'a field expires_after[__proto__]': accepted(
    'input.jsonl',
    field('expires_after[__proto__]', '1'),
    PURPOSE,
    FILE,
  ),
  'a header __proto__': {
    ...form(PURPOSE, { head: head(DISPOSITION, '__proto__: x'), content: '{}\n' }),
    accepted: 'either',
  },
  'a header constructor': {
    ...form(PURPOSE, { head: head('constructor: x', DISPOSITION), content: '{}\n' }),
    accepted: 'either',
  },
  'a NUL in the file name': {
    ...form(PURPOSE, filePart('{}\n', 'filename="a\0b.jsonl"')),
    accepted: 'either',
  },
  'a CR in the file name': { ...form(PURPOSE, filePart('{}\n', 'filename="a\rb"')), accepted: 'either' },
  'an LF in the file name': { ...form(PURPOSE, filePart('{}\n', 'filename="a\nb"')), accepted: 'either' },
  'a header behind the file name': {
    ...form(PURPOSE, filePart('{}\n', 'filename="a\r\nX-Injected: b"')),
    accepted: 'either',
  },
  'a file name that climbs': accepted('passwd', PURPOSE, filePart('{}\n', 'filename="../../../etc/passwd"')),
  'a file name that climbs in Windows': accepted(
    'boot.ini',
    PURPOSE,
    filePart('{}\n', String.raw`filename="..\\..\\boot.ini"`),
  ),
  'a file name of two dots': accepted('upload', PURPOSE, filePart('{}\n', 'filename=".."')),
  'a file name that is a folder': accepted('upload', PURPOSE, filePart('{}\n', 'filename="/etc/"')),
  'an empty file name': { ...form(PURPOSE, filePart('{}\n', 'filename=""')), accepted: 'either' },
  'a file name of 1 MB': {
    ...form(PURPOSE, filePart('{}\n', `filename="${'n'.repeat(MIB)}"`)),
    accepted: 'either',
  },
  'a file name that is not UTF-8': {
    body: Buffer.from(
      formBytes([PURPOSE, filePart('{}\n', 'filename="caf@.jsonl"')]).map((b) => (b === 0x40 ? 0xe9 : b)),
    ),
    accepted: 'either',
  },
  'a part without a name': {
    ...form({ head: 'Content-Disposition: form-data', content: 'x' }, PURPOSE, FILE),
    accepted: 'either',
  },
  'a part without any header': { ...form({ head: '', content: 'x' }, PURPOSE, FILE), accepted: 'either' },
  'a part with an empty name': { ...form(field('', 'x'), PURPOSE, FILE), accepted: 'either' },
  'a part whose header has 1 MB': {
    ...form(PURPOSE, { head: head(`X-Long: ${'h'.repeat(MIB)}`, DISPOSITION), content: '{}\n' }),
    accepted: 'either',
  },
  'a part with 10,000 headers': {
    ...form(PURPOSE, {
      head: head(...Array.from({ length: 10_000 }, (_, i) => `X-${i}: a`), DISPOSITION),
      content: '{}\n',
    }),
    accepted: 'either',
  },
  'a field in place of the file': form(PURPOSE, field('file', '{}\n')),
  'a field of 16 MB in place of the file': form(PURPOSE, field('file', Buffer.alloc(16 * MIB, 'x'))),
  'a purpose of 16 MB': form(field('purpose', Buffer.alloc(16 * MIB, 'x')), FILE),
  'an unknown field of 16 MB': form(PURPOSE, field('other', Buffer.alloc(16 * MIB, 'x')), FILE),
  'a file in place of the purpose': form(
    { head: 'Content-Disposition: form-data; name="purpose"; filename="p"', content: 'batch' },
    FILE,
  ),
  'a field that says it is JSON and is not': form(
    {
      head: head('Content-Disposition: form-data; name="purpose"', 'Content-Type: application/json'),
      content: '{',
    },
    FILE,
  ),
  'a purpose that is a JSON object': form(
    {
      head: head('Content-Disposition: form-data; name="purpose"', 'Content-Type: application/json'),
      content: '{"a":1}',
    },
    FILE,
  ),
  'a part that is encoded': {
    ...form(PURPOSE, { head: head(DISPOSITION, 'Content-Transfer-Encoding: base64'), content: '{}\n' }),
    accepted: 'either',
  },
  'a form within a form': {
    ...form(PURPOSE, {
      head: head(DISPOSITION, 'Content-Type: multipart/mixed; boundary=inner'),
      content: formBytes([FILE, FILE], 'inner'),
    }),
    accepted: 'either',
  },
  'no last boundary': { body: WHOLE.subarray(0, WHOLE.lastIndexOf('--a-boundary')) },
  'half of the last boundary': { body: WHOLE.subarray(0, -6) },
  'cut within the file': { body: WHOLE.subarray(0, WHOLE.indexOf('{}') + 1) },
  'cut within a header': { body: WHOLE.subarray(0, WHOLE.indexOf('filename') + 3) },
  'line feeds alone for line breaks': { body: WHOLE.toString().replaceAll('\r\n', '\n') },
  'text before and behind': {
    body: Buffer.concat([Buffer.from('preamble\r\n'), WHOLE, Buffer.from('epilogue\r\n--x')]),
    accepted: 'either',
  },
  'two forms': { body: Buffer.concat([WHOLE, WHOLE]), accepted: 'either' },
  'a length that is too small': { body: WHOLE, headers: { 'content-length': String(WHOLE.length - 30) } },
};

/** Forms that no honest client sends. */
export async function oddForms(trials: Trials, world: World): Promise<void> {
  await settleMemory(world);
  const before = residentBytes(world).now;
  for (const [name, odd] of Object.entries(ODD_FORMS)) {
    await trials.attempt(name, () => checkForm(world, odd));
  }
  await trials.attempt('a length that is too large', () => checkLongLength(world));
  await trials.attempt('chunks that end too early', () => checkCutChunks(world));
  await trials.attempt('memory', async () => {
    const held = residentBytes(world).now - before;
    assert.ok(held < HELD_BYTES, `the service holds ${Math.round(held / MIB)} MiB more than before`);
  });
}

/** An ordinary large upload first: what the allocator keeps of it is not held by a form. */
async function settleMemory(world: World): Promise<void> {
  const body = formBytes([field('purpose', 'user_data'), filePart(Buffer.alloc(32 * MIB, 'x'))]);
  assertOk(await post(world, { body }));
}

async function post(world: World, { body, type = FORM_TYPE, headers = {} }: OddForm): Promise<Answer> {
  const all = { 'content-type': type, ...headers };
  return await ask(
    world.service.url,
    requestBytes({ method: 'POST', target: '/v1/files', headers: all, body }),
  );
}

async function checkForm(world: World, odd: OddForm): Promise<void> {
  const answer = await post(world, odd);
  if (answer.status === 200 && odd.accepted !== undefined) {
    const { id, filename } = assertOk(answer) as { id: string; filename: string };
    if (odd.accepted !== 'either') assert.equal(filename, odd.accepted);
    assert.doesNotMatch(filename, /[\p{Cc}/\\]/u);
    const download = await get(world, `/v1/files/${id}/content`);
    assert.equal(download.headers['x-injected'], undefined);
  } else {
    assert.ok(odd.accepted === undefined || odd.accepted === 'either', answer.text);
    assertRefused(answer, [400, 413]);
  }
  await assertNothingLeft(world);
}

/** The client leaves in the middle of what it had promised. */
async function checkLongLength(world: World): Promise<void> {
  const headers = { 'content-type': FORM_TYPE, 'content-length': String(WHOLE.length + 1000) };
  const request = requestBytes({ method: 'POST', target: '/v1/files', headers, body: WHOLE });
  // The form is whole before its length is: whether that is answered or waited for, nothing may be left of it.
  await exchange(world.service.url, request, { quietMs: 300 });
  await assertNothingLeft(world);
}

async function checkCutChunks(world: World): Promise<void> {
  const headers = { 'content-type': FORM_TYPE, 'transfer-encoding': 'chunked' };
  const request = requestBytes({ method: 'POST', target: '/v1/files', headers });
  const chunk = Buffer.concat([
    Buffer.from(`${WHOLE.length.toString(16)}\r\n`),
    WHOLE,
    Buffer.from('\r\nzz\r\n'),
  ]);
  for (const { status, headers, text } of (await exchange(world.service.url, Buffer.concat([request, chunk])))
    .answers) {
    assertClean({ status, headers, text });
  }
  await assertNothingLeft(world);
}

/** No temporary file outlives its request. */
async function assertNothingLeft(world: World): Promise<void> {
  assertAlive(world);
  const tmp = join(world.dataDir, 'tmp');
  await waitFor('the temporary files are gone', async () => (await readdir(tmp)).length === 0, 5000);
}
