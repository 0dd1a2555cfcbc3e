/** Keys that are revoked or rotated while they are in use. */
import assert from 'node:assert/strict';
import { createClient } from '../harness/client.ts';
import type { Client } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import type { World } from '../harness/world.ts';
import { answerOf, atOnce, counting, onOneService, statusesOf } from './shared.ts';
import type { Answer } from './shared.ts';

const ADMIN_KEY = 'sk-of-the-administrator-0123456789';
const APART_MS = 12;

export const keysInUse: Fault = {
  family: 'races',
  name: 'a key is revoked or rotated while it is used: each call is answered or refused, and none after that',
  async run(trials) {
    const { quick, random } = trials;
    await onOneService(
      trials,
      async (world) => {
        await trials.each(counting(quick ? 2 : 60), async (n) => {
          await trials.attempt(`a revoke ${n}`, () => revokeInUse(world, random));
          await trials.attempt(`rotations and a revoke ${n}`, () => rotateAgainstRevoke(world, random));
        });
      },
      { apiKey: ADMIN_KEY },
    );
  },
};

interface Key {
  readonly id: string;
  readonly key: string;
}

/** Of the administrators' owner, so that what it makes is among what the world checks at its end. */
async function createKey({ client }: World): Promise<Key> {
  const body = { name: 'laptop', owner: 'default' };
  return await client.callJson<Key>('a key', '/admin/keys', { body });
}

const clientWith = (world: World, apiKey: string): Client =>
  createClient({ url: () => world.service.url, ledger: world.ledger, apiKey });

const revoke = ({ client }: World, { id }: Key): Promise<Answer> =>
  answerOf(client.call('a revoke', `/admin/keys/${id}`, { method: 'DELETE' }));

async function assertDead(world: World, secret: string): Promise<void> {
  const { status } = await answerOf(clientWith(world, secret).call('a list', '/files'));
  assert.equal(status, 401, 'a dead key');
}

/** What was answered with 2xx is in the ledger, and looked for at the end. */
async function revokeInUse(world: World, random: Random): Promise<void> {
  const key = await createKey(world);
  const client = clientWith(world, key.key);
  const file = await client.upload(makeInput(3));
  const [revoked, ...used] = await atOnce(random, APART_MS, [
    () => revoke(world, key),
    () => answerOf(client.call('a list', '/batches')),
    ...counting(2).map(() => () => answerOf(client.upload(makeInput(200)).then(() => ''))),
    () => answerOf(client.create(file).then(() => '')),
  ]);
  assert.equal(revoked?.status, 200, revoked?.body);
  for (const { status, body } of used) assert.ok(status === 200 || status === 401, body);
  await assertDead(world, key.key);
}

/** Of several rotations the last one counts; none brings a revoked key back to life. */
async function rotateAgainstRevoke(world: World, random: Random): Promise<void> {
  const key = await createKey(world);
  const rotate = (): Promise<Answer> =>
    answerOf(world.client.call('a rotate', `/admin/keys/${key.id}/rotate`, { method: 'POST' }));
  const rotated = await atOnce(random, APART_MS, [rotate, rotate]);
  const secrets = rotated.map(({ status, body }) => {
    assert.equal(status, 200, body);
    return (JSON.parse(body) as Key).key;
  });
  const uses = await Promise.all(
    secrets.map((secret) => answerOf(clientWith(world, secret).call('a list', '/files'))),
  );
  assert.deepEqual(statusesOf(...uses), [200, 401]);
  await assertDead(world, key.key);
  const [revoked, late] = (await atOnce(random, APART_MS, [() => revoke(world, key), rotate])) as [
    Answer,
    Answer,
  ];
  assert.equal(revoked.status, 200, revoked.body);
  assert.ok(late.status === 200 || late.status === 409, late.body);
  const last = late.status === 200 ? [(JSON.parse(late.body) as Key).key] : [];
  for (const secret of [...secrets, ...last]) await assertDead(world, secret);
}
