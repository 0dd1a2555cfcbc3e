import type { Database } from 'better-sqlite3';
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
    claimDeliveries: async (worker, now, limit) => claim(worker, now, limit),
    settleDelivery: async (id, epoch, now, result) => settle(id, epoch, now, result),
    releaseDeliveries: async (deliveries) => release(deliveries),
    purgeEvents: async (before) => purge.run(before).changes,
  };
}

interface DeliveryRow {
  readonly seq: number;
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

function createClaimDeliveries(db: Database): (worker: string, now: number, limit: number) => Delivery[] {
  const findDue = db.prepare<[number, number], DeliveryRow>(`
    select
      d.seq, d.id, d.url, d.origin, d.attempts, d.epoch + 1 as epoch,
      e.id as event_id, e.owner, e.batch_id, e.type, e.created_at
    from deliveries d
      join events e on e.seq = d.event
    where d.state = 'pending' and d.worker is null and d.next_at <= ?
    order by d.next_at, d.seq
    limit ?
  `);
  const hold = db.prepare<[string, number, number]>(
    'update deliveries set worker = ?, epoch = ? where seq = ?',
  );
  return transaction(db, (worker: string, now: number, limit: number): Delivery[] => {
    const rows = findDue.all(now, limit);
    for (const { seq, epoch } of rows) hold.run(worker, epoch, seq);
    return rows.map(toDelivery);
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
