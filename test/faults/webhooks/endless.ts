/** Receivers whose answers never end. */
import assert from 'node:assert/strict';
import { createWebhookSender } from '../../../src/adapters/webhook/index.ts';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import { peakMemoryBytes } from '../harness/memory.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import { FLOODS } from './floods.ts';
import type { Flood } from './floods.ts';
import { startBadReceiver } from './receivers.ts';

const MIB = 1024 * 1024;
/**
 * What the service may need beyond what it had before: it keeps nothing of such answers, but Node may leave some hundred
 * megabytes of what it read to be collected later. Kept, they would be gigabytes.
 */
const MAX_GROWTH_BYTES = 320 * MIB;
/** Webhooks of each kind: all kinds together are about as many as the service sends at a time. */
const COPIES = 3;
/** The sender's limit in these tries, and how much later a busy machine may see an attempt end. */
const TIMEOUT_MS = 500;
const LATE_MS = 2500;

export const endlessAnswers: Fault = {
  family: 'webhooks',
  name: 'answers that never end: each ends in time',
  async run(trials) {
    const floods = trials.quick ? FLOODS.filter((_, at) => at % 3 === 0) : FLOODS;
    await trials.each(floods, async ({ name, hasStatus, serve }) => {
      await trials.attempt(name, async (scope) => {
        const receiver = await startBadReceiver(scope, serve);
        const sender = createWebhookSender({ allowPrivate: true, timeoutMs: TIMEOUT_MS });
        scope.defer(() => sender.close());
        const request = { url: receiver.origin, trusted: false, headers: {}, body: '{}' };
        const startedAt = performance.now();
        const outcome = await sender.send(request, new AbortController().signal);
        const tookMs = performance.now() - startedAt;
        assert.ok(tookMs < TIMEOUT_MS + LATE_MS, `ended after ${Math.round(tookMs)} ms`);
        assert.equal(outcome.kind, hasStatus ? 'answered' : 'failed', JSON.stringify(outcome));
        await waitFor('the connection is closed', () =>
          receiver.calls.every(({ openMs }) => openMs !== null),
        );
      });
    });
  },
};

export const endlessInMemory: Fault = {
  family: 'webhooks',
  name: 'answers that never end: the memory of the service',
  async run(trials) {
    // Most attempts go on for 15 s; those of the quick kinds end at once.
    const kinds = trials.quick ? FLOODS.filter(({ hasStatus }) => hasStatus).slice(0, 2) : FLOODS;
    await trials.attempt(`${kinds.length} kinds, ${COPIES} of each`, async (scope) => {
      const world = await createWorld(scope);
      await world.start();
      const file = await world.client.upload(makeInput(1));
      const warmUp = await world.client.create(file, { webhookUrl: world.receiver.url('own') });
      await waitFor('a good webhook', () =>
        world.receiver.events.some(({ batchId }) => batchId === warmUp.id),
      );
      const before = peakMemoryBytes(world.service.pid);
      const receivers = await Promise.all(kinds.map((kind) => startBadReceiver(scope, kind.serve)));
      for (const { origin } of receivers) {
        for (let n = 0; n < COPIES; n++)
          await world.client.create(file, { body: { webhook_url: `${origin}/${n}` } });
      }
      const ended = (): number =>
        receivers.flatMap(({ calls }) => calls).filter(({ openMs }) => openMs !== null).length;
      await waitFor('every attempt has ended', () => ended() >= COPIES * kinds.length, 120_000);
      assert.equal(world.service.hasEnded, false, 'the service has ended');
      checkLog(world.service.output(), kinds);
      if (before === null) return;
      const grown = (peakMemoryBytes(world.service.pid) ?? 0) - before;
      trials.note(`${Math.round(grown / MIB)} MiB more than before`);
      assert.ok(grown < MAX_GROWTH_BYTES, `the memory grew by ${Math.round(grown / MIB)} MiB`);
    });
  },
};

/** What the service made of them: a status that came counts. */
function checkLog(log: string, kinds: readonly Flood[]): void {
  const delivered = kinds.filter(({ hasStatus }) => hasStatus).length * COPIES;
  assert.ok((log.match(/"msg":"webhook delivered"/g)?.length ?? 0) >= delivered);
  assert.equal(log.match(/^.*"level":[56]0.*$/gm), null, 'the service has logged an error of its own');
}
