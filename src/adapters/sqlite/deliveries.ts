import type { Database } from 'better-sqlite3';
import { createShareOut } from '../../engine/webhooks/delivery-share.ts';
import type { DeliveryShare } from '../../engine/webhooks/delivery-share.ts';
import { MAX_DELIVERY_WAIT_MS } from '../../engine/webhooks/event.ts';
import type { Delivery } from '../../engine/webhooks/event.ts';
import type { AttemptTrace, DeliveryResult, Fenced, Store } from '../../engine/ports.ts';
import { judgeEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import { toDelivery } from '../sql/delivery-rows.ts';
import type { DeliveryRow } from '../sql/delivery-rows.ts';
import { createDisableEndpoint } from './endpoint-status.ts';
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
    settleDelivery: async (...settlement) => settle(...settlement),
    releaseDeliveries: async (deliveries) => release(deliveries),
    purgeEvents: async (before) => purge.run(before).changes,
  };
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
      d.id, d.url, d.origin, d.attempts, d.epoch, w.id as endpoint_id,
      e.id as event_id, e.owner, e.batch_id, e.format, e.type, e.created_at
    from deliveries d
      join events e on e.seq = d.event
      left join webhook_endpoints w on w.seq = d.endpoint
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

type Settle = (
  id: string,
  epoch: number,
  now: number,
  result: DeliveryResult,
  trace?: AttemptTrace,
) => Fenced;

function createSettleDelivery(db: Database): Settle {
  const settle = db.prepare<[object], { readonly endpoint: number | null }>(`
    update deliveries
    set state = :state, next_at = coalesce(:nextAt, next_at), attempts = attempts + 1, last_attempt_at = :now,
      last_status_code = :statusCode, last_duration_ms = :durationMs, last_response = :response, last_error = :error,
      worker = null
    where id = :id and epoch = :epoch and worker is not null
    returning endpoint
  `);
  const judge = createJudgeEndpoint(db);
  return transaction(db, (id, epoch, now, result, trace): Fenced => {
    const settled = settle.get({
      id,
      epoch,
      now,
      state: result.kind === 'retry' ? 'pending' : result.kind,
      nextAt: result.kind === 'retry' ? result.at : null,
      statusCode: result.statusCode,
      durationMs: trace?.durationMs ?? null,
      response: trace?.response ?? null,
      error: result.kind === 'delivered' ? null : result.error,
    });
    if (settled === undefined) return 'lost';
    if (settled.endpoint !== null) judge(settled.endpoint, result, now);
    return 'ok';
  });
}

/** Notes how an endpoint does after an attempt, and disables it where it is to be. */
function createJudgeEndpoint(db: Database): (endpoint: number, result: DeliveryResult, now: number) => void {
  const find = db
    .prepare<[number], number | null>('select failing_since from webhook_endpoints where seq = ?')
    .pluck();
  const note = db.prepare<[number | null, number]>(
    'update webhook_endpoints set failing_since = ? where seq = ?',
  );
  const disable = createDisableEndpoint(db);
  return (endpoint, result, now) => {
    const before = find.get(endpoint) ?? null;
    const { failingSince, disabledReason } = judgeEndpoint(before, result, now);
    if (failingSince !== before) note.run(failingSince, endpoint);
    if (disabledReason !== null) disable(endpoint, disabledReason, now);
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
