import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { WebhookOutcome, WebhookRequest, WebhookSender } from '../../src/engine/index.ts';
import { OLD_SECRET_MS } from '../../src/engine/webhooks/webhook-endpoint.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';

const workers: Worker[] = [];
const DAY = 24 * 3_600_000;

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

const answer = (status: number, body = ''): WebhookOutcome => ({
  kind: 'answered',
  status,
  retryAfter: null,
  body,
});

/** An engine with a worker and a sender that answers as told; no secret is configured. */
async function start(respond: (request: WebhookRequest) => WebhookOutcome | Promise<WebhookOutcome>) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const sent: WebhookRequest[] = [];
  const webhooks: WebhookSender = {
    check: () => null,
    async send(request) {
      sent.push(request);
      return await respond(request);
    },
    close: async () => {},
  };
  const engine = createTestEngine({ clock, log, webhooks });
  const worker = createWorker({ engine });
  workers.push(worker);
  await worker.start();
  const create = async (eventTypes: readonly string[] = ['batch.completed']) =>
    await engine.webhookEndpoints.create({
      owner: OWNER,
      name: 'mine',
      url: 'https://mine.example/',
      eventTypes,
    });
  const history = async (endpointId: string) =>
    (await engine.webhookEndpoints.listDeliveries({ owner: OWNER, endpointId, limit: 100 })).data;
  /** Lets time go by, a little at a time, until `fact` holds. */
  const until = (fact: () => void | Promise<void>, ms = 100) =>
    vi.waitFor(
      async () => {
        clock.advance(ms);
        await fact();
      },
      { timeout: 10_000, interval: 5 },
    );
  return { engine, clock, log, sent, create, history, until };
}

describe('deliveries to endpoints', () => {
  it('tell of the events they asked for, signed with their own secret', async () => {
    const { engine, sent, create, until } = await start(() => answer(200));
    const { endpoint, secret } = await create(['batch.completed', 'batch.in_progress']);
    const { id } = await submit(engine, inputLines(2));
    await until(() => expect(sent).toHaveLength(2));
    for (const { url, trusted } of sent)
      expect({ url, trusted }).toEqual({ url: endpoint.url, trusted: false });
    const types = sent.map(({ body }) => (JSON.parse(body) as { type: string }).type);
    expect(types.toSorted()).toEqual(['batch.completed', 'batch.in_progress']);
    for (const { headers, body } of sent) {
      // The clock of the test is not the verifier's.
      const at = new Date(Number(headers['webhook-timestamp']) * 1000);
      const signature = new Webhook(secret).sign(headers['webhook-id'] ?? '', at, body);
      expect(headers['webhook-signature']).toBe(signature);
      const digest = createHmac('sha256', secret).update(body).digest('hex');
      expect(headers['x-signature-256']).toBe(`sha256=${digest}`);
      expect(JSON.parse(body)).toMatchObject({ id: headers['webhook-id'], data: { id } });
    }
  });

  it('are signed with the replaced secret too for a day, and then no more', async () => {
    const { engine, clock, sent, create, until } = await start(() => answer(200));
    const { endpoint, secret: old } = await create();
    const { secret } = await engine.webhookEndpoints.rotateSecret({
      owner: OWNER,
      id: endpoint.id,
      keepOld: true,
    });
    const signaturesOf = async (secrets: readonly string[]) => {
      sent.length = 0;
      await submit(engine, inputLines(1));
      await until(() => expect(sent).toHaveLength(1));
      const { headers, body } = sent[0] as WebhookRequest;
      const at = new Date(Number(headers['webhook-timestamp']) * 1000);
      const expected = secrets.map((one) => new Webhook(one).sign(headers['webhook-id'] ?? '', at, body));
      return [headers['webhook-signature'], expected.join(' ')];
    };
    const [both, expectedBoth] = await signaturesOf([secret, old]);
    expect(both).toBe(expectedBoth);
    clock.advance(OLD_SECRET_MS);
    const [one, expectedOne] = await signaturesOf([secret]);
    expect(one).toBe(expectedOne);
  });

  it('are signed with the secret of the moment, also when they are tried again', async () => {
    let status = 500;
    const { engine, sent, create, until } = await start(() => answer(status));
    const { endpoint } = await create();
    await submit(engine, inputLines(1));
    await until(() => expect(sent).toHaveLength(1));
    status = 200;
    const { secret } = await engine.webhookEndpoints.rotateSecret({
      owner: OWNER,
      id: endpoint.id,
      keepOld: false,
    });
    await until(() => expect(sent).toHaveLength(2), 1000);
    const { headers, body } = sent[1] as WebhookRequest;
    expect(headers['x-signature-256']).toBe(
      `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    );
  });

  it('leave a history of how each attempt went', async () => {
    const tell: { fail: boolean } = { fail: true };
    const { engine, clock, create, history, until } = await start(() => {
      clock.advance(40);
      return tell.fail ? answer(503, 'not now') : { kind: 'failed', message: 'no answer: ECONNREFUSED' };
    });
    const { endpoint } = await create();
    const batch = await submit(engine, inputLines(1));
    await until(async () => expect((await history(endpoint.id))[0]?.attempts).toBe(1));
    const [first] = await history(endpoint.id);
    expect(first).toMatchObject({
      event: { batchId: batch.id, type: 'batch.completed' },
      state: 'pending',
      lastStatusCode: 503,
      lastDurationMs: 40,
      lastResponse: 'not now',
      lastError: 'answered 503',
    });
    expect((first?.nextAttemptAt ?? 0) - (first?.lastAttemptAt ?? 0)).toBe(5000);
    tell.fail = false;
    await until(async () => expect((await history(endpoint.id))[0]?.attempts).toBe(2), 1000);
    expect((await history(endpoint.id))[0]).toMatchObject({
      lastStatusCode: null,
      lastResponse: null,
      lastError: 'no answer: ECONNREFUSED',
    });
  });

  it('are sent again when they are asked for, with the same event id', async () => {
    const { engine, sent, create, history, until } = await start(() => answer(200));
    const { endpoint } = await create();
    await submit(engine, inputLines(1));
    await until(async () => expect((await history(endpoint.id))[0]?.state).toBe('delivered'));
    const [first] = await history(endpoint.id);
    const again = await engine.webhookEndpoints.replayDelivery(OWNER, endpoint.id, first?.id ?? '');
    expect(again).toMatchObject({ event: first?.event, state: 'pending' });
    await until(() => expect(sent).toHaveLength(2));
    expect(sent[1]?.headers['webhook-id']).toBe(sent[0]?.headers['webhook-id']);
    expect(sent[1]?.body).toBe(sent[0]?.body);
    await until(async () => expect((await history(endpoint.id))[0]?.state).toBe('delivered'));
    const since = { owner: OWNER, endpointId: endpoint.id, since: 0 };
    expect(await engine.webhookEndpoints.replayEvents(since)).toEqual({ deliveries: 1, nextSince: null });
    await until(() => expect(sent).toHaveLength(3));
  });

  it('end with their endpoint, also where it is deleted before they are signed', async () => {
    const { engine, log, sent, create, until } = await start(() => answer(200));
    const { endpoint } = await create();
    const getSecrets = vi.spyOn(engine.context.store, 'getWebhookSecrets');
    getSecrets.mockImplementationOnce(async (...query) => {
      await engine.webhookEndpoints.delete(OWNER, endpoint.id);
      getSecrets.mockRestore();
      return await engine.context.store.getWebhookSecrets(...query);
    });
    await submit(engine, inputLines(1));
    await until(async () => {
      const { data } = await engine.webhookEndpoints.list({ owner: OWNER, limit: 1 });
      expect(data).toEqual([]);
    });
    await submit(engine, inputLines(1));
    await until(() => expect(log.entries.filter(({ message }) => message === 'batch ended')).toHaveLength(2));
    expect(sent).toEqual([]);
    expect(log.entries.filter(({ message }) => message.startsWith('webhook not'))).toEqual([]);
  });
});

describe('an endpoint that cannot be reached', () => {
  const disabled = 'webhook endpoint disabled';

  it('is disabled by a 410, with a warning', async () => {
    const { engine, log, create, until } = await start(() => answer(410));
    const { endpoint } = await create();
    await submit(engine, inputLines(1));
    await until(() => expect(log.entries.map(({ message }) => message)).toContain(disabled));
    const warnings = log.entries.filter(({ message }) => message === disabled);
    expect(warnings).toMatchObject([{ level: 'warn', fields: { endpointId: endpoint.id, reason: 'gone' } }]);
    expect(await engine.webhookEndpoints.get(OWNER, endpoint.id)).toMatchObject({
      status: 'disabled',
      disabledReason: 'gone',
    });
  });

  it('is disabled after five days, with one warning, and enabled by its owner', async () => {
    const { engine, clock, log, sent, create, until } = await start(() => answer(500));
    const { endpoint } = await create();
    await submit(engine, inputLines(1));
    await until(() => expect(sent).toHaveLength(1));
    await until(() => expect(sent).toHaveLength(10), DAY / 4);
    clock.advance(5 * DAY);
    expect(log.entries.map(({ message }) => message)).not.toContain(disabled);
    await submit(engine, inputLines(1));
    await until(() => expect(log.entries.map(({ message }) => message)).toContain(disabled));
    expect(log.entries.filter(({ message }) => message === disabled)).toHaveLength(1);
    expect((await engine.webhookEndpoints.get(OWNER, endpoint.id)).disabledReason).toBe('failing');
    await engine.webhookEndpoints.update({ owner: OWNER, id: endpoint.id, status: 'enabled' });
    await submit(engine, inputLines(1));
    await until(() => expect(sent).toHaveLength(12));
    expect((await engine.webhookEndpoints.get(OWNER, endpoint.id)).status).toBe('enabled');
  });
});

describe('the secrets of endpoints', () => {
  it('are never logged', async () => {
    const { engine, log, sent, create, until } = await start(() => answer(500, 'a private answer'));
    const { endpoint, secret } = await create();
    const kept = await engine.webhookEndpoints.rotateSecret({ owner: OWNER, id: endpoint.id, keepOld: true });
    await submit(engine, inputLines(1));
    await until(() => expect(sent).toHaveLength(1));
    await until(() => expect(log.entries.map(({ message }) => message)).toContain('webhook not delivered'));
    await engine.webhookEndpoints.test({ owner: OWNER, id: endpoint.id, eventType: 'batch.failed' });
    await engine.webhookEndpoints.delete(OWNER, endpoint.id);
    const text = JSON.stringify(log.entries);
    for (const hidden of [secret, kept.secret, 'a private answer', endpoint.url]) {
      expect(text).not.toContain(hidden);
    }
  });
});
