/** Naughty strings where clients may put strings of their own: custom ids, metadata, ids, webhook URLs. */
import assert from 'node:assert/strict';
import type { Trials } from '../harness/fault.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { fileOf, get, groupsOf, inputLine, postBatch, resultLines, runBatch } from './batches.ts';
import type { InputBatch } from './batches.ts';
import { assertOk, assertRefused } from './http.ts';
import { lengthOf, naughtyStrings, shown } from './naughty-strings.ts';
import { assertAlive } from './still-works.ts';

const CREATE = { input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h' };

/** Naughty strings as custom ids. */
export async function naughtyCustomIds(trials: Trials, world: World): Promise<void> {
  const strings = naughtyStrings(trials);
  const isGood = (id: string): boolean => id !== '' && lengthOf(id) <= 64;
  for (const [how, write] of Object.entries({ plain: JSON.stringify, escaped: escapeAll })) {
    await trials.attempt(`good ones, ${how}`, () => checkGoodIds(world, strings.filter(isGood), write));
    const bad = strings.filter((id) => !isGood(id));
    for (const group of groupsOf(bad, 100)) {
      await trials.attempt(`bad ones, ${how}`, () => checkBadIds(world, group, write));
    }
  }
}

/** Every UTF-16 unit as an escape. */
function escapeAll(text: string): string {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return `"${units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')}"`;
}

type Write = (text: string) => string;

async function checkGoodIds(world: World, ids: readonly string[], write: Write): Promise<void> {
  const batch = await runBatch(world, fileOf(ids.map((id) => inputLine(write(id), '{"model":"m"}'))));
  assert.equal(batch.status, 'completed', JSON.stringify(batch.errors));
  const lines = await resultLines(world, batch.output_file_id);
  const found = lines.map((line) => (JSON.parse(line.toString()) as { custom_id: string }).custom_id);
  assert.deepEqual(found, ids);
}

async function checkBadIds(world: World, ids: readonly string[], write: Write): Promise<void> {
  const batch = await runBatch(world, fileOf(ids.map((id) => inputLine(write(id), '{"model":"m"}'))));
  assert.equal(batch.status, 'failed');
  const expected = ids.map((id, i) => ({
    line: i + 1,
    code: id === '' ? 'invalid_type' : 'string_above_max_length',
    param: 'custom_id',
  }));
  const found = batch.errors?.data.map(({ line, code, param }) => ({ line, code, param }));
  assert.deepEqual(found, expected);
}

/** Naughty strings as the members of a create. */
export async function naughtyMembers(trials: Trials, world: World): Promise<void> {
  const strings = naughtyStrings(trials);
  await trials.each(groupsOf(strings.filter(fitsMetadata), 16), async (group) => {
    await trials.attempt(`metadata from ${shown(group[0] ?? '')} on`, () => checkMetadata(world, group));
  });
  await trials.each(strings, async (text) => {
    await trials.attempt(`members ${shown(text)}`, () => checkMembers(world, text));
  });
  await trials.each(strings, async (text) => {
    await trials.attempt(`a webhook URL with ${shown(text)}`, () => checkWebhookUrl(world, text));
  });
}

const fitsMetadata = (text: string): boolean => lengthOf(text) <= 64;

async function checkMetadata(world: World, keys: readonly string[]): Promise<void> {
  // Written by hand: an object literal's `__proto__` is another thing than JSON's.
  const pairs = keys.map((key, i) => [key, keys.at(i - 1) as string] as const);
  const json = pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',');
  const body = `${JSON.stringify(CREATE).slice(0, -1)},"metadata":{${json}}}`;
  const created = assertOk(await postBatch(world, Buffer.from(body))) as InputBatch;
  const seen = assertOk(await get(world, `/v1/batches/${created.id}`)) as InputBatch;
  for (const { metadata } of [created, seen]) {
    // A map: names that are numbers come first in any JavaScript object.
    assert.deepEqual(new Map(Object.entries(metadata ?? {})), new Map(pairs));
  }
}

async function checkMembers(world: World, text: string): Promise<void> {
  const length = lengthOf(text);
  for (const member of ['endpoint', 'completion_window']) {
    const error = assertRefused(await postBatch(world, { ...CREATE, [member]: text }), [400]);
    assert.deepEqual([error.code, error.param], ['invalid_value', member]);
  }
  const asKey = await postBatch(world, { ...CREATE, metadata: Object.fromEntries([[text, 'x']]) });
  if (length > 64) assert.equal(assertRefused(asKey, [400]).code, 'string_above_max_length');
  else assertOk(asKey);
  const asValue = await postBatch(world, { ...CREATE, metadata: { key: text } });
  if (length > 512) assert.equal(assertRefused(asValue, [400]).param, 'metadata.key');
  else assert.equal((assertOk(asValue) as InputBatch).metadata?.['key'], text);
  await checkInputFileId(world, text);
  assertAlive(world);
}

/** An unknown id is accepted, and the batch fails; the id is shown as it was given, save what no UTF-8 can say. */
async function checkInputFileId(world: World, text: string): Promise<void> {
  const answer = await postBatch(world, { ...CREATE, input_file_id: text });
  const { id } = assertOk(answer) as InputBatch;
  const batch = await waitFor(`the end of ${id}`, async () => {
    const seen = assertOk(await get(world, `/v1/batches/${id}`)) as InputBatch;
    return seen.status === 'failed' && seen;
  });
  assert.equal(batch.input_file_id, text.toWellFormed());
  assert.deepEqual(
    batch.errors?.data.map(({ code, param }) => [code, param]),
    [['invalid_request', 'file_id']],
  );
}

async function checkWebhookUrl(world: World, text: string): Promise<void> {
  // As it stands, where that names nobody else: tests send to this machine only.
  if (!/^https?:/.test(URL.parse(text)?.protocol ?? '')) {
    const error = assertRefused(await postBatch(world, { ...CREATE, webhook_url: text }), [400]);
    assert.deepEqual([error.code, error.param], ['invalid_value', 'webhook_url']);
  }
  const url = `${world.receiver.url('own')}/${text}`;
  const answer = await postBatch(world, { ...CREATE, webhook_url: url });
  if (answer.status !== 200) {
    assert.ok(url.length > 2048, answer.text);
    assert.equal(assertRefused(answer, [400]).param, 'webhook_url');
    return;
  }
  const { id } = assertOk(answer) as InputBatch;
  const seen = assertOk(await get(world, `/v1/batches/${id}`)) as InputBatch;
  assert.equal(seen.webhook_url, url.toWellFormed());
  await waitFor(`the webhook to ${shown(url)}`, () =>
    world.receiver.events.some((event) => event.batchId === id && event.path !== '/all'),
  );
}
