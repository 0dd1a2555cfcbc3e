/** What a team with a key of its own does: webhook endpoints, Message Batches, repeated creates, uploads in parts. */
import assert from 'node:assert/strict';
import { waitFor } from '../harness/wait.ts';
import type { Canaries } from './canaries.ts';
import type { Household } from './household.ts';
import { createOf, goodInput, partOf, postJson } from './owner.ts';
import type { Owner } from './owner.ts';
import type { Answer, Request } from './wire.ts';

/** What the upstream does with the requests of a Message Batch. */
const MESSAGE_MANNERS = ['answers', 'refuses', 'fails', 'answers HTML', 'answers no JSON', 'resets'];

/** Sends a call that must be answered with 200; answers its object. */
export async function done(owner: Owner, what: string, request: Request): Promise<Record<string, unknown>> {
  const answer = await owner.send(what, request);
  assert.equal(answer.status, 200, `${what} is answered ${answer.text.slice(-300)}`);
  return answer.json();
}

async function refused(owner: Owner, what: string, request: Request): Promise<Answer> {
  const answer = await owner.send(what, request);
  assert.ok(answer.status >= 400 && answer.status < 500, `${what} is answered ${answer.text.slice(0, 200)}`);
  return answer;
}

/** A key of a team, made by the administrator. */
export interface TeamKey {
  readonly id: string;
  readonly key: string;
}

/** Makes or rotates a key. Its secret is for this answer only. */
export async function issueKey(household: Household, admin: Owner, request: Request): Promise<TeamKey> {
  const answer = await done(admin, 'a key', { ...request, place: 'own answer' });
  const { id, key } = answer as unknown as TeamKey;
  household.learn('the secret of a key', key.slice('sk-'.length), ['own answer']);
  return { id, key };
}

/** Creates an endpoint or rotates its secret. The service signs with it, so the database has it. */
async function issueSigningSecret(household: Household, owner: Owner, request: Request): Promise<string> {
  const { id, signing_secret } = await done(owner, 'a signing secret', { ...request, place: 'own answer' });
  const secret = String(signing_secret);
  household.learn('the secret of an endpoint', secret.slice('whsec_'.length), ['own answer', 'database']);
  const mistaken = { target: `/v1/webhook_endpoints/${secret}`, place: 'own answer' } as const;
  await refused(owner, 'a secret for an id', mistaken);
  return String(id);
}

/** Endpoints of all kinds, with a batch whose events go there. Answers the good one, and a delivery to it. */
export async function useEndpoints(
  household: Household,
  owner: Owner,
): Promise<{ readonly endpointId: string; readonly deliveryId: string; readonly batchId: string }> {
  const { canaries, peers } = household;
  const token = canaries.webhookUrlToken.text;
  const create = (kind: string): Promise<string> => {
    const url = `${peers.receiver.origin}/${kind}/endpoint?token=${token}`;
    const body = { name: 'an endpoint', url, event_types: ['batch.queued', 'batch.completed'] };
    // The answer has the URL, too.
    return issueSigningSecret(household, owner, postJson('/v1/webhook_endpoints', body));
  };
  const endpointId = await create('good');
  const others = [await create('fail'), await create('gone'), await create('overflow')];
  const path = `/v1/webhook_endpoints/${endpointId}`;
  const batchId = await owner.create(await owner.upload(goodInput(canaries, ['answers', 'fails'])));
  await owner.endOf([batchId]);
  const deliveries = await waitFor('the events have been delivered', async () => {
    const { data } = await done(owner, 'deliveries', { target: `${path}/deliveries` });
    const all = data as readonly { readonly id: string; readonly status: string }[];
    return all.length === 2 && all.every(({ status }) => status === 'delivered') && all;
  });
  const deliveryId = deliveries[0]?.id as string;
  for (const keep_old_secret_active_for_24_hours of [true, false]) {
    await issueSigningSecret(
      household,
      owner,
      postJson(`${path}/rotate_secret`, { keep_old_secret_active_for_24_hours }),
    );
    for (const id of [endpointId, ...others]) {
      const event_type = 'batch.completed';
      await done(owner, 'a test', postJson(`/v1/webhook_endpoints/${id}/test`, { event_type }));
    }
    await done(owner, 'a replay', {
      method: 'POST',
      target: `${path}/deliveries/${deliveryId}/replay`,
    });
    await done(owner, 'a replay', postJson(`${path}/replay`, { since: 0 }));
  }
  for (const id of others) {
    await done(owner, 'deliveries', { target: `/v1/webhook_endpoints/${id}/deliveries` });
  }
  await done(owner, 'an update', postJson(path, { name: 'another name' }));
  await done(owner, 'an endpoint', { target: path });
  await done(owner, 'a list', { target: '/v1/webhook_endpoints' });
  await done(owner, 'a removal', { method: 'DELETE', target: `/v1/webhook_endpoints/${others[0]}` });
  await makeEndpointMistakes(household, owner, path);
  return { endpointId, deliveryId, batchId };
}

async function makeEndpointMistakes({ canaries }: Household, owner: Owner, path: string): Promise<void> {
  const { webhookPassword, webhookUrlToken, prompt } = canaries;
  const body = { name: 'an endpoint', event_types: ['batch.completed'] };
  for (const url of [
    `http://user:${webhookPassword.text}@127.0.0.1/${webhookUrlToken.text}`,
    `ftp://127.0.0.1/${webhookUrlToken.text}`,
    webhookUrlToken.text,
  ]) {
    await refused(owner, 'a URL', postJson('/v1/webhook_endpoints', { ...body, url }));
    await refused(owner, 'a URL', postJson(path, { url }));
  }
  await refused(owner, 'no object', postJson(`${path}/rotate_secret`, `{"${prompt.text}`));
  await refused(owner, 'a long name', postJson(path, { name: prompt.text.repeat(10) }));
}

/** Message Batches, good and bad. `owner` sends its key in `x-api-key`. Answers the id of one that has ended. */
export async function useMessageBatches({ canaries }: Household, owner: Owner): Promise<string> {
  const create = async (): Promise<string> => {
    const request = messagesOf(canaries, MESSAGE_MANNERS);
    return `/v1/messages/batches/${String((await done(owner, 'a create', request))['id'])}`;
  };
  const [path, removed, cancelled] = [await create(), await create(), await create()];
  await done(owner, 'a cancel', { method: 'POST', target: `${cancelled}/cancel` });
  for (const each of [path, removed, cancelled]) {
    await waitFor('its end', async () => {
      const { processing_status } = await done(owner, 'a Message Batch', { target: each });
      return processing_status === 'ended';
    });
    const { status } = await owner.send('results', { target: `${each}/results` });
    assert.equal(status, 200);
  }
  await done(owner, 'a list', { target: '/v1/messages/batches' });
  await done(owner, 'a removal', { method: 'DELETE', target: removed });
  await makeMessageMistakes(canaries, owner);
  return path.slice('/v1/messages/batches/'.length);
}

function messagesOf({ customId, prompt }: Canaries, manners: readonly string[], more: object = {}): Request {
  const requests = manners.map((model, n) => ({
    custom_id: `id-${customId.text}-${n}`,
    params: { model, max_tokens: 10, messages: [{ role: 'user', content: `${prompt.text} ${n}` }], ...more },
  }));
  return postJson('/v1/messages/batches', { requests });
}

async function makeMessageMistakes(canaries: Canaries, owner: Owner): Promise<void> {
  const text = canaries.prompt.text;
  const good = String(messagesOf(canaries, ['answers']).body);
  const create = (body: string): Request => postJson('/v1/messages/batches', body);
  await refused(owner, 'a cut body', create(good.slice(0, -5)));
  await refused(owner, 'no JSON', create(`{"requests":[{"custom_id":"a","params":{"messages":${text}`));
  await refused(owner, 'another name', create(good.replace('"requests"', `"${text}"`)));
  await refused(owner, 'a text', create(good.replace(/"params":\{.*\}/, `"params":"${text}"}]}`)));
  await refused(owner, 'a stream', messagesOf(canaries, ['answers'], { stream: true }));
  await refused(owner, 'no model', create(good.replace('"model":"answers"', `"${text}":"answers"`)));
  await refused(owner, 'too long', messagesOf(canaries, ['answers'], { system: text.repeat(1000) }));
  await refused(owner, 'an id', create(good.replace('"custom_id":"', `"custom_id":"${text} `)));
  await refused(owner, 'no version', {
    target: '/v1/messages/batches',
    headers: { 'anthropic-version': text },
  });
}

/** Creates that are repeated. Answers a batch with failed lines, and its retry. */
export async function repeatCreates({ canaries }: Household, owner: Owner): Promise<string> {
  const headers = { 'idempotency-key': canaries.idempotencyKey.text };
  const input_file_id = await owner.upload(goodInput(canaries, ['answers', 'refuses']));
  const create = (more: object): Request => {
    const request = createOf(canaries, { input_file_id, ...more });
    return { ...request, headers: { ...request.headers, ...headers } };
  };
  const { id } = await done(owner, 'a create', create({}));
  assert.equal((await done(owner, 'a repetition', create({})))['id'], id);
  await refused(owner, 'another create', { ...create({ priority: 1 }), place: 'own answer' });
  const tooLong = canaries.idempotencyKey.text.repeat(10);
  await refused(owner, 'a long key', { ...create({}), headers: { 'idempotency-key': tooLong } });
  await owner.endOf([String(id)]);
  const retry = { method: 'POST', target: `/v1/batches/${String(id)}/retry` };
  await done(owner, 'a retry', {
    ...retry,
    headers: { 'idempotency-key': `${canaries.idempotencyKey.text}-2` },
  });
  await refused(owner, 'another retry', { ...retry, headers, place: 'own answer' });
  return String(id);
}

/** Answers an upload in parts that is still pending, and its part. */
export async function beginUpload(
  { canaries }: Household,
  owner: Owner,
): Promise<{ readonly uploadId: string; readonly partId: string }> {
  const text = goodInput(canaries, ['answers']);
  const begin = async (): Promise<{ uploadId: string; partId: string }> => {
    const body = {
      filename: `${canaries.filename.text}.jsonl`,
      purpose: 'batch',
      bytes: text.length,
      mime_type: 'text/jsonl',
    };
    const uploadId = String((await done(owner, 'an upload', postJson('/v1/uploads', body)))['id']);
    return { uploadId, partId: String((await done(owner, 'a part', partOf(uploadId, text)))['id']) };
  };
  const { uploadId, partId } = await begin();
  const complete = (more: object): Request => postJson(`/v1/uploads/${uploadId}/complete`, more);
  await refused(owner, 'a wrong sum', complete({ part_ids: [partId], md5: '0'.repeat(32) }));
  await done(owner, 'a complete', complete({ part_ids: [partId] }));
  return await begin();
}
