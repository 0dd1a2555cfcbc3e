/** Naughty strings where HTTP carries them: file names, queries, paths, headers, form fields. */
import assert from 'node:assert/strict';
import { cleanFilename } from '../../../src/http/files/filename.ts';
import type { Trials } from '../harness/fault.ts';
import type { World } from '../harness/world.ts';
import { field, filePart, get, postForm } from './batches.ts';
import { ask, assertClean, assertOk, assertRefused, requestBytes } from './http.ts';
import type { Answer } from './http.ts';
import { encoded, naughtyStrings, shown } from './naughty-strings.ts';
import { assertAlive } from './still-works.ts';

interface FileObject {
  readonly id: string;
  readonly filename: string;
  readonly purpose: string;
}

/** Naughty strings as file names and form fields. */
export async function naughtyFilenames(trials: Trials, world: World): Promise<void> {
  await trials.each(naughtyStrings(trials), async (text) => {
    await trials.attempt(`a quoted name ${shown(text)}`, () => checkQuotedName(world, text));
    await trials.attempt(`an encoded name ${shown(text)}`, () => checkEncodedName(world, text));
    await trials.attempt(`fields ${shown(text)}`, () => checkFormFields(world, text));
  });
}

/** What a head of a part cannot carry as it stands. */
const CONTROLS = /\p{Cc}/u;

async function checkQuotedName(world: World, text: string): Promise<void> {
  const quoted = text.toWellFormed().replaceAll(/["\\]/g, '\\$&');
  const answer = await uploadAs(world, `filename="${quoted}"`);
  if (CONTROLS.test(text)) return assertClean(answer);
  await checkFile(world, answer, text);
}

async function checkEncodedName(world: World, text: string): Promise<void> {
  const percent = encoded(text).replaceAll(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  const encodedOnly = await uploadAs(world, `filename*=UTF-8''${percent}`);
  if (/[\r\n]/.test(text)) assertRefused(encodedOnly, [400]);
  else await checkFile(world, encodedOnly, text);
  // Forms should not have it (RFC 7578, 4.2): beside a plain name it is not looked at.
  await checkFile(world, await uploadAs(world, `filename="x"; filename*=UTF-8''${percent}`), 'x');
}

async function uploadAs(world: World, name: string): Promise<Answer> {
  return await postForm(world, [field('purpose', 'user_data'), filePart('content', name)]);
}

/** The file has the name, cleaned, and a download says so in a way that can be read. */
async function checkFile(world: World, answer: Answer, text: string): Promise<void> {
  const { id, filename } = assertOk(answer) as FileObject;
  assert.equal(filename, cleanFilename(text));
  assert.equal((assertOk(await get(world, `/v1/files/${id}`)) as FileObject).filename, filename);
  const download = await get(world, `/v1/files/${id}/content`);
  assert.equal(download.text, 'content');
  assert.equal(readDisposition(download.headers['content-disposition'] ?? ''), filename);
  assertAlive(world);
}

/** The file name of a Content-Disposition, read as RFC 6266 has it. */
function readDisposition(header: string): string {
  const match = /^attachment; filename="((?:[^"\\]|\\.)*)"(?:; filename\*=UTF-8''([\w!#$&+.^`|~%-]+))?$/.exec(
    header,
  );
  assert.ok(match !== null, `not a Content-Disposition: ${header}`);
  const [, quoted = '', extended] = match;
  return extended === undefined ? quoted.replaceAll(/\\(.)/g, '$1') : decodeURIComponent(extended);
}

async function checkFormFields(world: World, text: string): Promise<void> {
  const file = filePart('content');
  const badPurpose = assertRefused(await postForm(world, [field('purpose', text), file]), [400]);
  assert.equal(badPurpose.param, 'purpose');
  const purpose = field('purpose', 'user_data');
  const badExpiry = await postForm(world, [
    purpose,
    field('expires_after[anchor]', 'created_at'),
    field('expires_after[seconds]', text),
    file,
  ]);
  assert.match(assertRefused(badExpiry, [400]).param ?? '', /^expires_after/);
  const quoted = text.toWellFormed().replaceAll(/["\\]/g, '\\$&');
  assertClean(await postForm(world, [purpose, field(quoted, text.toWellFormed()), file]));
  assertAlive(world);
}

/** Naughty strings as queries, ids in paths and header values. */
export async function naughtyUrls(trials: Trials, world: World): Promise<void> {
  const file = await world.client.upload({ text: '{}\n', lines: [] });
  await trials.each(naughtyStrings(trials), async (text) => {
    await trials.attempt(`queries ${shown(text)}`, () => checkQueries(world, text));
    await trials.attempt(`ids ${shown(text)}`, () => checkIds(world, text));
    await trials.attempt(`headers ${shown(text)}`, () => checkHeaders(world, file.id, text));
  });
}

async function checkQueries(world: World, text: string): Promise<void> {
  const sent = text.toWellFormed();
  const isInteger = /^-?\d+$/.test(sent);
  for (const [path, max] of [
    ['/v1/files', 10_000],
    ['/v1/batches', 100],
  ] as const) {
    const limited = await get(world, `${path}?limit=${encoded(text)}`);
    const isLimit = sent === '' || (isInteger && Number(sent) >= 1 && Number(sent) <= max);
    if (isLimit) assertOk(limited);
    else assert.equal(assertRefused(limited, [400]).param, 'limit');
    const after = await get(world, `${path}?after=${encoded(text)}`);
    if (sent === '') assertOk(after);
    else assert.ok(assertRefused(after, [404]).message.includes(sent));
    // Not encoded, and as a name.
    for (const query of [rawTarget(text), `${encoded(text)}=1`, `${encoded(text)}[${encoded(text)}]=1`]) {
      assertClean(await get(world, `${path}?${query}`));
    }
  }
  const ordered = await get(world, `/v1/files?order=${encoded(text)}`);
  if (sent === '') assertOk(ordered);
  else assert.equal(assertRefused(ordered, [400]).param, 'order');
  assertOk(await get(world, `/v1/files?purpose=${encoded(text)}`));
  assertAlive(world);
}

/** What would end the request line is left out. */
const rawTarget = (text: string): string => text.replaceAll(/[\0-\u0020\u007f]/g, '').toWellFormed();

async function checkIds(world: World, text: string): Promise<void> {
  const id = encoded(text);
  for (const [method, target] of [
    ['GET', `/v1/files/${id}`],
    ['DELETE', `/v1/files/${id}`],
    ['GET', `/v1/files/${id}/content`],
    ['GET', `/v1/batches/${id}`],
    ['GET', `/v1/batches/batch${id}`],
    ['POST', `/v1/batches/${id}/cancel`],
    ['POST', `/v1/batches/batch${id}/cancel`],
    ['POST', `/v1/batches/batch${id}/retry`],
    ['DELETE', `/v1/batches/batch${id}`],
    ['GET', `/v1/files/${rawTarget(text)}`],
    ['DELETE', `/v1/files/${rawTarget(text)}/${id}`],
    ['GET', `/${rawTarget(text)}`],
  ] as const) {
    const answer = await ask(world.service.url, requestBytes({ method, target }));
    if (target.replace(/\?.*/, '') === '/v1/files/') assertClean(answer);
    else assertRefused(answer, [400, 404]);
  }
  assertAlive(world);
}

/** Values of headers that the service reads, and of one that it does not. */
async function checkHeaders(world: World, fileId: string, text: string): Promise<void> {
  const value = text.toWellFormed();
  for (const name of ['x-naughty', 'accept', 'range', 'if-none-match', 'if-range', 'authorization', 'host']) {
    const target = `/v1/files/${fileId}/content`;
    const answer = await ask(world.service.url, requestBytes({ target, headers: { [name]: value } }));
    if (answer.status === 304) assert.equal(answer.text, '');
    else assertClean(answer);
    assert.equal(answer.headers['x-injected'], undefined);
  }
  for (const [target, type] of [
    ['/v1/files', value],
    ['/v1/files', `multipart/form-data; boundary=${value}`],
    ['/v1/batches', value],
    ['/v1/batches', `application/json; charset=${value}`],
  ] as const) {
    const headers = { 'content-type': type };
    const request = requestBytes({ method: 'POST', target, headers, body: '{}' });
    assertRefused(await ask(world.service.url, request), [400, 415]);
  }
  assertAlive(world);
}
