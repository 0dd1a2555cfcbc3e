/** What must work on a full disk: to remove something, and to lock somebody out. */
import assert from 'node:assert/strict';
import { unusedPort } from '../../helpers/upstream-server.ts';
import { Refused } from '../harness/client.ts';
import type { Client } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { beginUpload, addPart, cancelUpload } from '../harness/uploads.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { orRefused } from './answers.ts';
import { tidy } from './ill.ts';
import { mountSmallDisk } from './small-disk.ts';
import type { SmallDisk } from './small-disk.ts';

const ADMIN_KEY = 'sk-of-the-administrator-0123456789';
/** More than fit into what the database's log has room for before it must grow. */
const MAX_WRITES = 300;

export const removalsOnFullDisk: Fault = {
  family: 'disk',
  name: 'full: files, batches, uploads and webhook endpoints can be removed, and keys revoked, all the same',
  needs: ['root'],
  async run(trials) {
    for (const end of trials.quick ? [KILLED] : [KILLED, 'the disk gets room']) {
      await trials.attempt(`until ${end}`, (scope) => removeAll(scope, end));
    }
  },
};

const KILLED = 'SIGKILL and a start on the full disk';

async function removeAll(scope: Scope, end: string): Promise<void> {
  const disk = await mountSmallDisk(scope, { megabytes: 48 });
  const world = await createWorld(scope, { dataDir: disk.dataDir, apiKey: ADMIN_KEY });
  await world.start();
  const kept = await createEndpoint(world.client);
  const removals = await prepareRemovals(world);
  for (const { what, remove } of removals) {
    await fillUp(world, disk, kept);
    // Throws where it is refused.
    await remove().catch((error: unknown) => assert.fail(`${what} on a full disk: ${String(error)}`));
  }
  for (const { check } of removals) await check();
  if (end === KILLED) {
    disk.fill();
    await world.kill();
    await world.start();
    for (const { check } of removals) await check();
  }
  disk.empty();
  await world.settle();
  await tidy(world);
  await checkInvariants(world, { retriesALine: world.crashes.length });
  for (const { check } of removals) await check();
}

/** Takes all room there is, also that which the database's files have inside them. */
async function fillUp({ client }: World, disk: SmallDisk, endpointId: string): Promise<void> {
  disk.fill();
  for (let n = 0; n < MAX_WRITES; n++) {
    const body = { name: `name ${n} ${'x'.repeat(200)}` };
    const write = client.call('a write', `/webhook_endpoints/${endpointId}`, { body });
    if ((await orRefused('a write', write)) === null) return;
  }
  throw new Error(`${MAX_WRITES} writes had room on a full disk`);
}

interface Removal {
  readonly what: string;
  readonly remove: () => Promise<unknown>;
  /** Throws where it has not happened. */
  readonly check: () => Promise<void>;
}

async function prepareRemovals(world: World): Promise<Removal[]> {
  const { client } = world;
  const file = await client.upload(makeInput(10));
  const endpointId = await createEndpoint(client);
  const batch = await client.create(await client.upload(makeInput(10)));
  const messageBatch = await createMessageBatch(world);
  const uploadId = await beginUpload(client, makeInput(10));
  await addPart(client, uploadId, Buffer.from('the first part'));
  await world.settle();
  const gone = (path: string) => async (): Promise<void> =>
    assert.equal(await statusOf(client, path), 404, path);
  return [
    await prepareRevocation(world),
    {
      what: 'the removal of a webhook endpoint',
      remove: () => client.call('a delete', `/webhook_endpoints/${endpointId}`, { method: 'DELETE' }),
      check: gone(`/webhook_endpoints/${endpointId}`),
    },
    {
      what: 'the removal of a batch',
      remove: () => client.deleteBatch(batch),
      check: gone(`/batches/${batch.id}`),
    },
    {
      what: 'the removal of a Message Batch',
      remove: () => client.call('a delete', messageBatch, { method: 'DELETE', headers: VERSION }),
      check: async () => assert.equal(await statusOf(client, messageBatch, VERSION), 404),
    },
    {
      what: 'the cancel of an upload',
      remove: () => cancelUpload(client, uploadId),
      check: async () => {
        const error = await addPart(client, uploadId, Buffer.from('another one')).catch(
          (refused: unknown) => refused,
        );
        assert.match(String(error), /with status 'cancelled'/);
      },
    },
    {
      what: 'the removal of a file',
      remove: () => client.deleteFile(file),
      check: gone(`/files/${file.id}`),
    },
  ];
}

/** A key that is in use. */
async function prepareRevocation({ client }: World): Promise<Removal> {
  const { id, key } = await client.callJson<{ id: string; key: string }>('a key', '/admin/keys', {
    body: { name: 'laptop', owner: 'team-a' },
  });
  const use = (): Promise<number> => statusOf(client, '/files', { authorization: `Bearer ${key}` });
  assert.equal(await use(), 200);
  return {
    what: 'revoking a key',
    async remove() {
      assert.equal(await use(), 200, 'a key is looked up');
      await client.call('a revoke', `/admin/keys/${id}`, { method: 'DELETE' });
      assert.equal(await use(), 401);
    },
    check: async () => assert.equal(await use(), 401, 'a revoked key'),
  };
}

/** One where nobody listens, so that deliveries wait for it. */
async function createEndpoint(client: Client): Promise<string> {
  const url = `http://127.0.0.1:${await unusedPort()}/`;
  const { id } = await client.callJson<{ id: string }>('an endpoint', '/webhook_endpoints', {
    body: { name: 'nobody', url, event_types: ['batch.completed'] },
  });
  return id;
}

const VERSION = { 'anthropic-version': '2023-06-01' };

/** Its path, once it has ended. */
async function createMessageBatch({ client }: World): Promise<string> {
  const request = { custom_id: 'a', params: { model: 'witness', max_tokens: 1, messages: [] } };
  const { id } = await client.callJson<{ id: string }>('a Message Batch', '/messages/batches', {
    headers: VERSION,
    body: { requests: [request] },
  });
  const path = `/messages/batches/${id}`;
  await waitFor('the Message Batch has ended', async () => {
    const seen = await client.callJson<{ processing_status: string }>('it', path, { headers: VERSION });
    return seen.processing_status === 'ended';
  });
  return path;
}

async function statusOf(
  client: Client,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  try {
    await client.call(path, path, { headers });
    return 200;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.status;
  }
}
