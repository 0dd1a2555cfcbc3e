import type { Database } from 'better-sqlite3';
import { createShareOut } from '../../engine/delivery-share.ts';
import type { DeliveryShare } from '../../engine/delivery-share.ts';
import { MAX_DELIVERY_WAIT_MS } from '../../engine/event.ts';
import type { Delivery, DeliveryTarget, EventType } from '../../engine/event.ts';
import type { DeliveryResult, Fenced, Store } from '../../engine/ports.ts';
import { transaction } from './transaction.ts';

export type DeliveryVerbs = Pick<
  Store,
  'claimDeliveries' | 'settleDelivery' | 'releaseDeliveries' | 'purgeEvents'
>;

/** The attempts to bring events to URLs. */
export function createDeliveryVerbs(db: Database): DeliveryVerbs {
  const claim = createClaimDeliveries(db);
  const settle = createSettleDelivery(db);
  const release = createReleaseDeliveries(db);
  const purge = db.prepare<[number]>(`
    delete from events
    where created_at < ?
      and not exists (select 1 from deliveries d where d.event = events.seq and d.state = 'pending')
  `);
  return {
    claimDeliveries: async (worker, now, limit, share) => claim(worker, now, limit, share),
    settleDelivery: async (id, epoch, now, result) => settle(id, epoch, now, result),
    releaseDeliveries: async (deliveries) => release(deliveries),
    purgeEvents: async (before) => purge.run(before).changes,
  };
}

interface DeliveryRow {
  readonly id: string;
  readonly url: string;
  readonly origin: DeliveryTarget['origin'];
  readonly attempts: number;
  readonly epoch: number;
  readonly event_id: string;
  readonly owner: string;
  readonly batch_id: string;
  readonly type: EventType;
  readonly created_at: number;
}

type Claim = (worker: string, now: number, limit: number, share?: DeliveryShare) => Delivery[];

function createClaimDeliveries(db: Database): Claim {
  const findDue = db.prepare<[number], { readonly seq: number; readonly url: string }>(`
    select seq, url from deliveries
    where state = 'pending' and worker is null and next_at <= ?
    order by next_at, seq
  `);
  const hold = db.prepare<[string, number]>(
    'update deliveries set worker = ?, epoch = epoch + 1 where seq = ?',
  );
  const read = db.prepare<[number], DeliveryRow>(`
    select
      d.id, d.url, d.origin, d.attempts, d.epoch,
      e.id as event_id, e.owner, e.batch_id, e.type, e.created_at
    from deliveries d
      join events e on e.seq = d.event
    where d.seq = ?
  `);

  // Nothing is put off for so long: the clock was set back since.
  const recall = db.prepare<[number, number]>(`
    update deliveries
    set next_at = ?
    where state = 'pending' and next_at > ?
  `);

  /** Reads no further than it must: those of a receiver that never answers may be many. */
  function choose(now: number, limit: number, share: DeliveryShare | undefined): number[] {
    const fits = share === undefined ? () => true : createShareOut(share);
    const chosen: number[] = [];
    for (const { seq, url } of findDue.iterate(now)) {
      if (chosen.length === limit) break;
      if (fits(url)) chosen.push(seq);
    }
    return chosen;
  }

  return transaction(db, (worker: string, now: number, limit: number, share?: DeliveryShare): Delivery[] => {
    recall.run(now, now + MAX_DELIVERY_WAIT_MS);
    return choose(now, limit, share).map((seq) => {
      hold.run(worker, seq);
      return toDelivery(read.get(seq) as DeliveryRow);
    });
  });
}

function toDelivery(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    event: {
      id: row.event_id,
      owner: row.owner,
      batchId: row.batch_id,
      type: row.type,
      createdAt: row.created_at,
    },
    target: { url: row.url, origin: row.origin },
    attempts: row.attempts,
    epoch: row.epoch,
  };
}

function createSettleDelivery(
  db: Database,
): (id: string, epoch: number, now: number, result: DeliveryResult) => Fenced {
  const settle = db.prepare(`
    update deliveries
    set state = :state, next_at = coalesce(:nextAt, next_at), attempts = attempts + 1, last_attempt_at = :now,
      last_status_code = :statusCode, last_error = :error, worker = null
    where id = :id and epoch = :epoch and worker is not null
  `);
  return (id, epoch, now, result) => {
    const { changes } = settle.run({
      id,
      epoch,
      now,
      state: result.kind === 'retry' ? 'pending' : result.kind,
      nextAt: result.kind === 'retry' ? result.at : null,
      statusCode: result.statusCode,
      error: result.kind === 'delivered' ? null : result.error,
    });
    return changes === 1 ? 'ok' : 'lost';
  };
}

function createReleaseDeliveries(
  db: Database,
): (deliveries: readonly { readonly id: string; readonly epoch: number }[]) => void {
  const release = db.prepare<[string, number]>(
    'update deliveries set worker = null where id = ? and epoch = ? and worker is not null',
  );
  return transaction(db, (deliveries: readonly { readonly id: string; readonly epoch: number }[]) => {
    for (const { id, epoch } of deliveries) release.run(id, epoch);
  });
}
