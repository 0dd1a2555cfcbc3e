/** Receivers that take a webhook and never answer. */
import assert from 'node:assert/strict';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { startBadReceiver } from './receivers.ts';

/** More than the service has attempts under way at a time. */
const HANGING = 70;
const HEALTHY = 5;
/** An attempt takes 15 s at the most; what has to wait for one takes longer than this. */
const PROMPT_MS = 8000;
/** Seen from a receiver on a busy machine, it may seem shorter than the 15 s. */
const MIN_ATTEMPT_MS = 10_000;

export const hangingReceiver: Fault = {
  family: 'webhooks',
  name: `a receiver on which ${HANGING} webhooks hang, and others that do not`,
  async run(trials) {
    await trials.attempt('the others are told at once', async (scope) => {
      const world = await createWorld(scope);
      const hanging = await startBadReceiver(scope, () => {});
      await world.start();
      const files = await Promise.all(
        Array.from({ length: HEALTHY }, () => world.client.upload(makeInput(1))),
      );
      await Promise.all(
        Array.from({ length: HANGING }, (_, n) => failBatch(world, `${hanging.origin}/${n}?token=${n}`)),
      );
      await waitFor('all of them have ended', async () =>
        (await world.client.list()).every(({ status }) => status === 'failed'),
      );
      const startedAt = performance.now();
      for (const [n, file] of files.entries()) {
        await world.client.create(file, { webhookUrl: world.receiver.url(`own-${n}`) });
      }
      await waitFor(
        'the webhooks of batches that ended later have come',
        () => world.receiver.events.filter(({ path }) => path.startsWith('/own-')).length === HEALTHY,
        PROMPT_MS,
      );
      const tookMs = performance.now() - startedAt;
      assert.ok(
        hanging.calls.length > 0 && hanging.calls.some(({ openMs }) => openMs === null),
        'none hangs',
      );
      trials.note(`after ${Math.round(tookMs)} ms`);
      if (trials.quick) return;
      await waitFor('the first attempts were given up', () =>
        hanging.calls.some(({ openMs }) => openMs !== null),
      );
      const times = hanging.calls.flatMap(({ openMs }) => openMs ?? []);
      assert.ok(Math.min(...times) > MIN_ATTEMPT_MS, `given up after ${Math.min(...times)} ms`);
      await checkInvariants(world);
    });
  },
};

/** A batch that ends at once, because its file does not exist. */
async function failBatch(world: World, webhookUrl: string): Promise<void> {
  const response = await fetch(`${world.service.url}/v1/batches`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      input_file_id: 'file-unknown',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      webhook_url: webhookUrl,
    }),
  });
  assert.equal(response.status, 200, await response.text());
}
