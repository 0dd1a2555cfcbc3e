import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { describe, expect, it } from 'vitest';
import { newBatchId } from '../../src/engine/batches/batch.ts';
import { newFileId } from '../../src/engine/files/file.ts';
import { newUploadId } from '../../src/engine/files/upload.ts';
import { newWebhookEndpointId } from '../../src/engine/webhooks/webhook-endpoint.ts';
import { buildApp } from '../../src/http/app.ts';
import { createWorker } from '../../src/worker/index.ts';
import { createTestApp, FORM_TYPE, formBytes, JSONL, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createTestEngine, inputLine } from '../helpers/test-engine.ts';
import { BODY, createdBatch, postBatch } from './batch-calls.ts';
import { createdKey, withKey } from './key-calls.ts';
import { createdEndpoint, createFakeSender } from './webhook-calls.ts';

/** An id in all its situations that an owner may have it in, and one that nobody has. */
interface Kind {
  readonly situations: Readonly<Record<string, (owner: TestApp) => Promise<string>>>;
  readonly unknown: () => string;
}

const FILES: Kind = {
  situations: {
    'a file': (owner) => uploadFile(owner),
    async 'a file that a live batch reads'(owner) {
      const id = await uploadFile(owner);
      await createdBatch(owner, { input_file_id: id });
      return id;
    },
    'an output file': async (owner) => (await completedBatch(owner)).output_file_id ?? '',
  },
  unknown: newFileId,
};

const BATCHES: Kind = {
  situations: {
    'a batch': async (owner) => (await createdBatch(owner)).id,
    'a completed batch': async (owner) => (await completedBatch(owner)).id,
  },
  unknown: () => newBatchId(0),
};

const ENDPOINTS: Kind = {
  situations: { 'a webhook endpoint': async (owner) => (await createdEndpoint(owner)).id },
  unknown: newWebhookEndpointId,
};

const UPLOADS: Kind = {
  situations: {
    async 'an upload'(owner) {
      const payload = { filename: 'a', purpose: 'user_data', bytes: 0, mime_type: 'text/plain' };
      return (await owner.call({ method: 'POST', url: '/v1/uploads', payload })).json<{ id: string }>().id;
    },
  },
  unknown: newUploadId,
};

const MESSAGE_VERSION = { 'anthropic-version': '2023-06-01' };

const MESSAGE_BATCHES: Kind = {
  situations: {
    async 'a Message Batch'(owner) {
      const request = { custom_id: 'a', params: { model: 'm', max_tokens: 1, messages: [] } };
      const response = await owner.call({
        method: 'POST',
        url: '/v1/messages/batches',
        headers: MESSAGE_VERSION,
        payload: { requests: [request] },
      });
      return response.json<{ id: string }>().id;
    },
  },
  unknown: () => newBatchId(0).replace('batch_', 'msgbatch_'),
};

/** By the beginning of the route. Those of `/v1/admin` have tests of their own: no owner has any. */
const KINDS: Readonly<Record<string, Kind>> = {
  '/v1/files/': FILES,
  '/v1/batches/': BATCHES,
  '/v1/messages/batches/': MESSAGE_BATCHES,
  '/v1/uploads/': UPLOADS,
  '/v1/webhook_endpoints/': ENDPOINTS,
};

async function completedBatch(owner: TestApp) {
  const content = `${inputLine('a')}\n`;
  const { id } = await createdBatch(owner, { input_file_id: await uploadFile(owner, { content }) });
  const worker = createWorker({ engine: owner.engine });
  await worker.start();
  const read = async () =>
    (await owner.call({ url: `/v1/batches/${id}` })).json<Awaited<ReturnType<typeof createdBatch>>>();
  await expect.poll(async () => (await read()).status).toBe('completed');
  await worker.stop();
  return await read();
}

interface Route {
  readonly method: string;
  /** With `:id` where the id goes. */
  readonly url: string;
}

/** Every route that takes an id in its path, and the lists, which take one in their query. */
async function routesWithIds(): Promise<Route[]> {
  const routes: Route[] = [];
  const app = buildApp({ engine: createTestEngine(), log: false, apiKeys: [], isReady: () => true });
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) routes.push({ method: each, url });
  });
  await app.ready();
  await app.close();
  const owned = routes.filter(({ url }) => !/^\/(health|v1\/admin)\//.test(url));
  const lists = owned.filter(
    ({ method, url }) => method === 'GET' && `${url}/` in KINDS && !isOfMessages({ url }),
  );
  return [
    ...owned.filter(({ url }) => url.includes(':')),
    ...lists.map(({ method, url }) => ({ method, url: `${url}?after=:id` })),
  ];
}

function kindOf({ url }: Route): Kind {
  const [, kind] = Object.entries(KINDS).find(([start]) => url.replace('?', '/?').startsWith(start)) ?? [];
  if (kind === undefined) throw new Error(`${url}: this test must be told how to make such an id`);
  return kind;
}

/** What routes need besides an id, by their end: a body that is not acceptable is refused before anything is looked for. */
const BODIES: Readonly<Record<string, object>> = {
  test: { event_type: 'batch.completed' },
  replay: { since: 0 },
  complete: { part_ids: [] },
};

/** They want a header, and their list has other names for its cursors (test/http/messages/). */
function isOfMessages({ url }: Pick<Route, 'url'>): boolean {
  return url.startsWith('/v1/messages/');
}

function requestOf({ method, url }: Route, id: string): InjectOptions {
  const end = url.split('/').at(-1) ?? '';
  if (end === 'parts') {
    const payload = formBytes([{ name: 'data', filename: 'part', content: '' }]);
    return { method: 'POST', url: url.replace(/:\w+/, id), payload, headers: { 'content-type': FORM_TYPE } };
  }
  const payload = BODIES[end];
  return {
    method: method as 'GET',
    url: url.replace(/:\w+/, id),
    headers: isOfMessages({ url }) ? MESSAGE_VERSION : {},
    ...(payload !== undefined && { payload }),
  };
}

/** All that a client can see of an answer, but the id and what differs each time. */
function seen(response: LightMyRequestResponse, id: string) {
  const { 'x-request-id': _id, 'request-id': _same, date: _date, ...headers } = response.headers;
  delete headers['openai-processing-ms'];
  return {
    status: response.statusCode,
    headers,
    body: response.body.replaceAll(id, ':id').replaceAll(/req_[0-9a-f]{32}/g, ':req'),
  };
}

async function createTeams() {
  const testApp = createTestApp({ webhooks: createFakeSender() });
  const a = await createdKey(testApp);
  const b = await createdKey(testApp, { owner: 'team-b' });
  return { testApp, teamA: withKey(testApp, a.key), teamB: withKey(testApp, b.key) };
}

const routes = await routesWithIds();
const cases = routes.flatMap((route) =>
  Object.keys(kindOf(route).situations).map((situation) => [route.method, route.url, situation] as const),
);

describe('an id of another owner', () => {
  it('is tried on all routes', () => {
    expect(routes.map(({ method, url }) => `${method} ${url}`)).toEqual(
      expect.arrayContaining([
        'GET /v1/files/:id',
        'DELETE /v1/files/:id',
        'GET /v1/files/:id/content',
        'HEAD /v1/files/:id/content',
        'GET /v1/batches/:id',
        'POST /v1/batches/:id/cancel',
        'GET /v1/files?after=:id',
        'GET /v1/batches?after=:id',
      ]),
    );
  });

  it.each(cases)('is answered by %s %s exactly as an unknown one: %s', async (method, url, situation) => {
    const { testApp, teamA, teamB } = await createTeams();
    const route = { method, url };
    const { situations, unknown } = kindOf(route);
    const id = (await situations[situation]?.(teamA)) ?? '';
    const nobodys = unknown();
    const expected = seen(await teamB.call(requestOf(route, nobodys)), nobodys);
    expect(expected.status).toBe(404);
    for (const stranger of [teamB, testApp]) {
      expect(seen(await stranger.call(requestOf(route, id)), id)).toEqual(expected);
    }
    // The id is right: to its owner it means something, and what strangers did has not changed that.
    // Without results yet, and without such a delivery, that is what it means.
    if (/\/messages\/batches\/:id\/results$|:deliveryId/.test(url)) return;
    // As a stream, for one answer ends with its batch.
    const own = await teamA.call({ ...requestOf(route, id), payloadAsStream: true });
    own.stream().destroy();
    expect(own.statusCode).not.toBe(404);
  });

  it('fails a batch that names it as its input exactly as an unknown one, with the caller’s own owner', async () => {
    const { testApp, teamA, teamB } = await createTeams();
    const worker = createWorker({ engine: testApp.engine });
    await worker.start();
    const failure = async (fileId: string) => {
      const response = await postBatch(teamB, { ...BODY, input_file_id: fileId });
      const { id } = response.json<{ id: string }>();
      const read = async () => (await teamB.call({ url: `/v1/batches/${id}` })).json<{ status: string }>();
      await expect.poll(async () => (await read()).status).toBe('failed');
      const text = JSON.stringify(await read())
        .replaceAll(fileId, ':file')
        .replaceAll(id, ':id');
      // Times may differ by a second.
      return text.replaceAll(/"(\w+_at)":\d+/g, '"$1":0');
    };
    const foreign = await uploadFile(teamA, { content: JSONL });
    const answered = await failure(foreign);
    expect(answered).toBe(await failure(newFileId()));
    expect(answered).toContain('Cannot find file :file, or organization team-b does not have access to it.');
    await worker.stop();
  });
});
