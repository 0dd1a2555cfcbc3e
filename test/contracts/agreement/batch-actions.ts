/** What happens to batches and their chunks. */
import {
  aBatch,
  aChunk,
  aFile,
  anEvent,
  anOwner,
  aSegment,
  claim,
  failOf,
  finishOf,
  refOf,
  startOf,
  T0,
} from '../../helpers/store-fixtures.ts';

import { limitsOf, pick } from './world.ts';
import type { Action } from './world.ts';

export const BATCH_ACTIONS: Readonly<Record<string, Action>> = {
  async create({ both, batches }, n, m) {
    const format = n % 3 === 0 ? 'anthropic' : 'openai';
    const counts = { total: m % 5, completed: 0, failed: 0 };
    const times = { createdAt: T0 + (m % 2), expiresAt: T0 + 10 + (m % 4) };
    const owner = n % 4 === 0 ? 'bob' : 'ann';
    const batch = aBatch({ ...times, owner, priority: n % 2, format, counts });
    const event = anEvent(batch, 'batch.queued', T0 + (m % 3), ['http://a', 'http://b'].slice(0, n % 3));
    batches.push(batch.id);
    await both((store) => store.createBatch(batch, event, limitsOf(n)));
  },
  async claimStep({ both, steps }) {
    const step = await both((store) => store.claimBatchStep('worker', T0));
    if (step?.[0] != null) steps.push(step[0]);
  },
  async start({ both, steps }, n, m) {
    const step = pick(steps, n);
    if (step === undefined) return;
    const chunks = Array.from({ length: 1 + (m % 5) }, (_, number) =>
      aChunk(number, { model: 'aab'[(m + number) % 3] ?? 'a', lineCount: 1 + ((m + number) % 3) }),
    );
    const start = startOf(step, { chunks, limits: limitsOf(n) });
    await both((store) => store.startBatch(start));
  },
  async fail({ both, steps }, n) {
    const step = pick(steps, n);
    if (step === undefined) return;
    const fail = failOf(step);
    await both((store) => store.failBatch(fail));
  },
  async finish({ both, steps }, n, m) {
    const step = pick(steps, n);
    if (step === undefined) return;
    const right = step.batch.status === 'cancelling' ? 'cancelled' : (step.batch.ending ?? 'completed');
    const end = m % 4 === 0 ? 'expired' : right;
    const finish = finishOf(step, end, {
      unfinished: n % 3,
      outputFile: m % 2 === 0 ? aFile({ filename: end }) : null,
    });
    await both((store) => store.finishBatch(finish));
  },
  async releaseStep({ both, steps }, n) {
    const step = pick(steps, n);
    if (step !== undefined) await both((store) => store.releaseBatchStep(step.batch.id, step.epoch));
  },
  async cancel({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) => store.cancelBatch(m % 9 === 0 ? 'bob' : 'ann', id, T0 + 5));
  },
  async delete({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) => store.deleteBatch(m % 9 === 0 ? 'bob' : 'ann', id));
  },
  async listBefore({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) =>
      store.listBatchesBefore('ann', id, 1 + (m % 4), n % 2 === 0 ? 'openai' : 'anthropic'),
    );
  },
  async putOwner({ both }, n, m) {
    const owner = anOwner({ name: n % 2 === 0 ? 'bob' : 'ann', weight: 1 + (m % 3) });
    await both((store) => store.putOwner(owner));
  },
  expire: ({ both }, n) => both((store) => store.expireBatches(T0 + 9 + (n % 6))),
  die: ({ both }, n) => both((store) => (n % 3 === 0 ? store.releaseDeadLeases(T0) : store.ping())),
};

export const CHUNK_ACTIONS: Readonly<Record<string, Action>> = {
  async claim({ both, claims }, n, m) {
    const held = claims.slice(-(m % 6)).map(({ batch, chunk }) => {
      return { batchId: batch.id, model: chunk.model, chunks: 1 + (n % 2) };
    });
    const query = {
      limit: 1 + (n % 4),
      perModel: 1 + (m % 3),
      held,
      oneEachExcept: n % 5 === 0 ? new Set(held.map(({ batchId }) => batchId)) : null,
      above: new Map(m % 4 === 0 ? [['ann', 0]] : []),
      modelRoom: n % 3 === 0 ? new Map([['a', m % 3]]) : undefined,
    };
    const claimed = await both(async (store) =>
      (await claim(store, query)).map((claimed) => ({ ...claimed, chunk: { ...claimed.chunk } })),
    );
    claims.push(...(claimed?.[0] ?? []));
  },
  async commit({ both, claims }, n, m) {
    const segments = [pick(claims, n), pick(claims, m)].flatMap((held) => {
      if (held === undefined) return [];
      const places = [...Array(held.chunk.lineCount).keys()].filter((place) => ((n + m) >> place) % 2 === 0);
      return places.length === 0 ? [] : [aSegment(held.chunk, places, { failed: [1], logPosition: n })];
    });
    await both((store) => store.commitSegments(segments, T0 + 7));
  },
  async release({ both, claims }, n, m) {
    const chunks = [pick(claims, n), pick(claims, m)].flatMap((held) =>
      held === undefined ? [] : [refOf(held.chunk)],
    );
    await both((store) => store.releaseChunks(chunks));
  },
  async tryAlone({ both, claims }, n, m) {
    const held = pick(claims, n);
    if (held !== undefined) {
      await both((store) => store.markTrying(refOf(held.chunk), m % 3 === 0 ? null : m % 3));
    }
  },
};

export const SECOND_CHANCES: Readonly<Record<string, Action>> = {
  async deleteBatch({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) => store.deleteBatch(m % 9 === 0 ? 'bob' : 'ann', id));
  },
  async submit({ both, batches }, n, m) {
    const batch = aBatch({ createdAt: T0 + (m % 5) });
    const submission = {
      batch,
      event: anEvent(batch, 'batch.queued', T0, ['http://a'].slice(0, n % 2)),
      inputFile: m % 3 === 0 ? aFile() : null,
      once: n % 7 === 0 ? null : { key: `k${n % 3}`, fingerprint: `${m % 2}` },
      forgetUntil: T0 + (n % 4),
      limits: limitsOf(m),
    };
    batches.push(batch.id);
    await both((store) => store.submitBatch(submission));
    await both((store) => store.findSubmission('ann', `k${m % 3}`, T0 + (m % 4)));
  },
  forget: ({ both }, n) => both((store) => store.forgetSubmissions(T0 + (n % 5))),
};
