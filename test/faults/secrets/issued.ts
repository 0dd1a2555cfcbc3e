/** Secrets that the service makes itself and hands out once, and what comes with them. */
import assert from 'node:assert/strict';
import type { Fault } from '../harness/fault.ts';
import { createRandom } from '../harness/random.ts';
import { waitFor } from '../harness/wait.ts';
import { createCanaries } from './canaries.ts';
import { createHousehold } from './household.ts';
import type { Household } from './household.ts';
import { bearer, createOwner, postJson } from './owner.ts';
import type { Owner } from './owner.ts';
import { callsWithIds, LISTS } from './strangers.ts';
import type { Belongings } from './strangers.ts';
import { beginUpload, done, issueKey, repeatCreates, useEndpoints, useMessageBatches } from './teams.ts';
import type { TeamKey } from './teams.ts';

/** What the log says where the try has been. */
const LANDMARKS = [
  '"keyId":"key_',
  '"msg":"key created"',
  '"msg":"key rotated"',
  '"msg":"key revoked"',
  '"msg":"webhook endpoint created"',
  '"msg":"webhook endpoint tested"',
  '"msg":"webhook endpoint disabled"',
  '"msg":"webhook secret rotated"',
  '"msg":"webhooks replayed"',
  '"msg":"upload completed"',
  '"msg":"request failed"',
];

const VERSION = { 'anthropic-version': '2023-06-01' };

export const issuedSecrets: Fault = {
  family: 'secrets',
  name: 'keys and signing secrets that the service makes, Message Batches, and strangers with good keys and real ids',
  async run(trials) {
    const { quick, seed } = trials;
    let answers = 0;
    await trials.each(quick ? [0] : [0, 1, 2], async (number) => {
      await trials.attempt(`try ${number}`, async (scope) => {
        const canaries = createCanaries(createRandom(seed + 100 + number));
        const household = await createHousehold(scope, canaries, { fromFiles: number % 2 === 1 });
        await visit(household);
        household.check();
        for (const landmark of LANDMARKS) {
          assert.ok(household.log().includes(landmark), `the try has not come past ${landmark}`);
        }
        answers += household.visitor.answers.length;
      });
    });
    trials.note(`${answers} answers`);
  },
};

async function visit(household: Household): Promise<void> {
  const { canaries, visitor, peers } = household;
  const admin = createOwner(visitor, canaries);
  await household.start({ UPSTREAM_FORMAT: 'anthropic' });
  const [keyA, keyB] = [await makeKey(household, admin, 'team-a'), await makeKey(household, admin, 'team-b')];
  const teamA = createOwner(visitor, canaries, bearer(keyA.key));
  const { endpointId, deliveryId } = await useEndpoints(household, teamA);
  const batchId = await repeatCreates(household, teamA);
  const messages = createOwner(visitor, canaries, { 'x-api-key': keyA.key, ...VERSION });
  const messageBatchId = await useMessageBatches(household, messages);
  assert.ok(
    peers.upstream.requests.some(({ headers }) => headers['x-api-key'] === canaries.upstreamKey.text),
    'the key of the upstream is not sent as its format wants it',
  );
  const { uploadId, partId } = await beginUpload(household, teamA);
  const fileId = String(
    (await done(teamA, 'a batch', { target: `/v1/batches/${batchId}` }))['input_file_id'],
  );
  const belongings = { fileId, batchId, messageBatchId, uploadId, partId, endpointId, deliveryId };
  await beStranger(household, teamA, keyB, belongings);
  await failUnderSecrets(household, admin, teamA, keyA);
  await endKeys(household, admin, [keyA, keyB]);
  // What crashes leave in the folder is looked at, too.
  household.service.kill('SIGKILL');
  await household.service.ended;
  household.check();
  await household.start();
}

async function makeKey(household: Household, admin: Owner, owner: string): Promise<TeamKey> {
  return await issueKey(household, admin, postJson('/v1/admin/keys', { name: 'laptop', owner }));
}

/** To another team, each id is one that does not exist; nothing that the first one has is changed. */
async function beStranger(
  { canaries, visitor }: Household,
  teamA: Owner,
  keyB: TeamKey,
  belongings: Belongings,
): Promise<void> {
  const teamB = createOwner(visitor, canaries, bearer(keyB.key));
  const seen = async (): Promise<string[]> => {
    const targets = [
      `/v1/files/${belongings.fileId}`,
      `/v1/batches/${belongings.batchId}`,
      `/v1/webhook_endpoints/${belongings.endpointId}`,
      `/v1/webhook_endpoints/${belongings.endpointId}/deliveries`,
      `/v1/messages/batches/${belongings.messageBatchId}`,
    ];
    const answers = targets.map((target) => done(teamA, 'what is there', { target, headers: VERSION }));
    return (await Promise.all(answers)).map((answer) => JSON.stringify(answer));
  };
  const before = await seen();
  for (const call of callsWithIds(belongings)) {
    const { status, text, what } = await teamB.send('a stranger', { ...call, place: null });
    assert.equal(status, 404, `${what}: ${text.slice(-300)}`);
  }
  const check = { input_file_id: belongings.fileId, endpoint: '/v1/chat/completions' };
  const validation = await teamB.send('a stranger', {
    ...postJson('/v1/batches/validate', check),
    place: null,
  });
  assert.match(validation.text, /Cannot find file|No such File object/);
  for (const list of LISTS) {
    const { data } = await done(teamB, 'a stranger', { ...list, place: null });
    assert.deepEqual(data, [], list.target);
  }
  for (const request of keyCalls(keyB.id)) {
    const { status, text } = await teamB.send('no administrator', { ...request, place: null });
    assert.equal(status, 403, text);
  }
  assert.deepEqual(await seen(), before, 'a stranger has changed something');
  await done(teamA, 'a cancel', { method: 'POST', target: `/v1/uploads/${belongings.uploadId}/cancel` });
}

const keyCalls = (id: string) => [
  { target: '/v1/admin/keys' },
  { target: `/v1/admin/keys/${id}` },
  postJson('/v1/admin/keys', { name: 'mine', owner: 'team-a' }),
  postJson(`/v1/admin/keys/${id}/rotate`, {}),
  { method: 'DELETE', target: `/v1/admin/keys/${id}` },
];

/** Storage that fails while secrets are made and used. */
async function failUnderSecrets(
  { canaries, service, visitor, peers }: Household,
  admin: Owner,
  teamA: Owner,
  keyA: TeamKey,
): Promise<void> {
  const { data } = await done(teamA, 'a list', { target: '/v1/webhook_endpoints' });
  const endpointId = String((data as readonly { readonly id: string }[])[0]?.id);
  const isReady = async (): Promise<boolean> =>
    (await visitor.send('a probe', { target: '/health/ready' })).status === 200;
  service.kill('SIGUSR2');
  await waitFor('the store fails', async () => !(await isReady()));
  const url = `${peers.receiver.origin}/good/endpoint?token=${canaries.webhookUrlToken.text}`;
  const body = { name: 'an endpoint', url, event_types: ['batch.completed'] };
  const message = { model: 'answers', messages: [{ role: 'user', content: canaries.prompt.text }] };
  const calls = [
    postJson('/v1/admin/keys', { name: 'laptop', owner: 'team-a' }),
    postJson(`/v1/admin/keys/${keyA.id}/rotate`, {}),
    postJson('/v1/webhook_endpoints', body),
    postJson(`/v1/webhook_endpoints/${endpointId}/rotate_secret`, {}),
    postJson('/v1/webhook_endpoints/whe_x/test', { event_type: 'batch.completed' }),
    postJson('/v1/messages/batches', { requests: [{ custom_id: 'a', params: message }] }),
  ];
  for (const call of calls) {
    const request = { ...call, headers: { ...VERSION, ...call.headers } };
    const { status, text } = await admin.send('with ill storage', request);
    assert.equal(status, 503, text);
  }
  const { status, text } = await teamA.send('with ill storage', { target: '/v1/files' });
  assert.equal(status, 503, text);
  service.kill('SIGUSR2');
  await waitFor('the store is well', isReady);
}

/** Secrets that were replaced and keys that were revoked open nothing, in whichever header they come. */
async function endKeys(household: Household, admin: Owner, keys: readonly TeamKey[]): Promise<void> {
  const { canaries, visitor } = household;
  const dead = [`sk-${canaries.wrongKey.text}`];
  for (const { id, key } of keys) {
    const rotate = (seconds: number) =>
      postJson(`/v1/admin/keys/${id}/rotate`, { keep_old_key_seconds: seconds });
    const second = await issueKey(household, admin, rotate(3600));
    const third = await issueKey(household, admin, rotate(0));
    await done(admin, 'a key', { target: `/v1/admin/keys/${id}` });
    await done(admin, 'a list', { target: '/v1/admin/keys' });
    await done(createOwner(visitor, canaries, bearer(third.key)), 'a list', { target: '/v1/files' });
    await done(admin, 'a revoke', { method: 'DELETE', target: `/v1/admin/keys/${id}` });
    dead.push(key, second.key, third.key);
  }
  for (const key of dead) {
    for (const [target, headers] of [
      ['/v1/files', bearer(key)],
      [`/v1/webhook_endpoints?key=${key}`, bearer(key)],
      [`/v1/admin/keys/${key}`, bearer(key)],
      ['/v1/messages/batches', { 'x-api-key': key, ...VERSION }],
      [`/v1/messages/batches/${key}`, { 'x-api-key': key }],
    ] as const) {
      const { status, text } = await visitor.send('a dead key', { target, headers });
      assert.equal(status, 401, text);
    }
    // Whoever takes the secret of a key for its id is not told it again.
    const { status, text } = await admin.send('a secret for an id', { target: `/v1/admin/keys/${key}` });
    assert.equal(status, 400, text);
  }
}
