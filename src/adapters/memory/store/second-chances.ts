import { isTerminal } from '../../../engine/batches/batch.ts';
import type { RememberedSubmission, SecondChancesStore } from '../../../engine/ports.ts';
import { insertBatch } from './batches.ts';
import { insertFiles } from './files.ts';
import { refuseBatch, refuseBytes } from './owner-usage.ts';
import { findBatch } from './state.ts';
import type { StoreState } from './state.ts';

interface KeyState extends RememberedSubmission {
  readonly owner: string;
  readonly key: string;
}

/** Removal of batches, and creates that may be repeated. */
export function createSecondChanceVerbs(state: StoreState): SecondChancesStore {
  const keys = new Set<KeyState>();

  function find(owner: string, key: string): KeyState | undefined {
    return [...keys].find((known) => known.owner === owner && known.key === key);
  }

  function findRemembered(owner: string, key: string, forgetUntil: number): RememberedSubmission | null {
    const known = find(owner, key);
    if (known === undefined || known.batch.createdAt <= forgetUntil) return null;
    return { fingerprint: known.fingerprint, batch: known.batch };
  }

  return {
    async deleteBatch(owner, id) {
      const found = findBatch(state, owner, id);
      if (found === undefined) return { kind: 'missing' };
      if (!isTerminal(found.batch.status)) return { kind: 'live', status: found.batch.status };
      state.batches.delete(id);
      for (const { record, deliveries } of state.events.values()) {
        if (record.batchId !== id || deliveries.some((delivery) => delivery.state === 'pending')) continue;
        state.events.delete(record.id);
        for (const { delivery } of deliveries) state.deliveries.delete(delivery.id);
      }
      return { kind: 'deleted' };
    },
    async submitBatch({ batch, event, inputFile, once, forgetUntil, limits }) {
      const { owner } = batch;
      const remembered = once === null ? null : findRemembered(owner, once.key, forgetUntil);
      if (remembered !== null) return { kind: 'known', remembered };
      const over =
        refuseBytes(state, owner, inputFile?.blob.bytes ?? 0, limits) ??
        refuseBatch(state, owner, batch.counts.total, limits);
      if (over !== null) return over;
      if (inputFile !== null) insertFiles(state, [inputFile]);
      insertBatch(state, batch, event);
      if (once !== null) {
        const forgotten = find(owner, once.key);
        if (forgotten !== undefined) keys.delete(forgotten);
        keys.add({ owner, ...once, batch });
      }
      return { kind: 'created' };
    },
    findSubmission: async (owner, key, forgetUntil) => findRemembered(owner, key, forgetUntil),
    async forgetSubmissions(until) {
      const old = [...keys].filter(({ batch }) => batch.createdAt <= until);
      for (const known of old) keys.delete(known);
      return old.length;
    },
  };
}
