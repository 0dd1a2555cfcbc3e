import type { AttemptTrace, DeliveryResult, Fenced, Store } from '../../engine/ports.ts';
import { createShareOut } from '../../engine/webhooks/delivery-share.ts';
import type { DeliveryShare } from '../../engine/webhooks/delivery-share.ts';
import { MAX_DELIVERY_WAIT_MS } from '../../engine/webhooks/event.ts';
import type { Delivery } from '../../engine/webhooks/event.ts';
import { judgeEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import { toDelivery } from '../sql/delivery-rows.ts';
import type { DeliveryRow } from '../sql/delivery-rows.ts';
import type { Database, Sql } from './database.ts';
import { disableEndpoint } from './endpoint-status.ts';

export type DeliveryVerbs = Pick<
  Store,
  'claimDeliveries' | 'settleDelivery' | 'releaseDeliveries' | 'purgeEvents'
>;

/** The attempts to bring events to URLs. */
export function createDeliveryVerbs(db: Database): DeliveryVerbs {
  return {
    claimDeliveries: (worker, now, limit, share) =>
      db.transaction(async (sql) => {
        // Nothing is put off for so long: the clock was set back since.
        await sql.run(
          `update deliveries set next_at = $1 where state = 'pending' and next_at > $2`,
          now,
          now + MAX_DELIVERY_WAIT_MS,
        );
        return await hold(sql, worker, await choose(sql, now, limit, share));
      }, release),
    settleDelivery: (id, epoch, now, result, trace) =>
      db.transaction((sql) => settle(sql, { id, epoch, now, result, trace })),
    releaseDeliveries: (deliveries) => db.transaction((sql) => release(sql, deliveries)),
    purgeEvents: (before) =>
      db.transaction((sql) =>
        sql.run(
          `
          delete from events
          where created_at < $1
            and not exists (select 1 from deliveries d where d.event = events.seq and d.state = 'pending')
          `,
          before,
        ),
      ),
  };
}

/** Due deliveries are looked at so many at a time, and never more than some pages of them for one claim. */
const PAGE = 200;
const MAX_PAGES = 25;

/** Reads no further than it must: those of a receiver that never answers may be many. */
async function choose(
  sql: Sql,
  now: number,
  limit: number,
  share: DeliveryShare | undefined,
): Promise<number[]> {
  const fits = share === undefined ? () => true : createShareOut(share);
  const chosen: number[] = [];
  let after = { next_at: -1, seq: -1 };
  for (let page = 0; page < MAX_PAGES; page++) {
    const due = await sql.all<{ readonly seq: number; readonly url: string; readonly next_at: number }>(
      `
      select seq, url, next_at
      from deliveries
      where state = 'pending' and worker is null and next_at <= $1 and (next_at, seq) > ($2, $3)
      order by next_at, seq
      limit $4
      for update skip locked
      `,
      now,
      after.next_at,
      after.seq,
      PAGE,
    );
    for (const { seq, url } of due) {
      if (chosen.length === limit) return chosen;
      if (fits(url)) chosen.push(seq);
    }
    after = due.at(-1) ?? after;
    if (due.length < PAGE) break;
  }
  return chosen;
}

async function hold(sql: Sql, worker: string, seqs: readonly number[]): Promise<Delivery[]> {
  if (seqs.length === 0) return [];
  await sql.run(
    'update deliveries set worker = $1, epoch = epoch + 1 where seq = any ($2::bigint[])',
    worker,
    seqs,
  );
  const rows = await sql.all<DeliveryRow & { readonly seq: number }>(
    `
    select
      d.seq, d.id, d.url, d.origin, d.attempts, d.epoch, w.id as endpoint_id,
      e.id as event_id, e.owner, e.batch_id, e.format, e.type, e.created_at
    from unnest($1::bigint[]) with ordinality as chosen (seq, place)
      join deliveries d on d.seq = chosen.seq
      join events e on e.seq = d.event
      left join webhook_endpoints w on w.seq = d.endpoint
    order by chosen.place
    `,
    seqs,
  );
  const orphans = rows.filter(isOrphan);
  if (orphans.length > 0) {
    // As their endpoint would have done; none of them may keep the others from being delivered.
    const gone = orphans.map(({ seq }) => seq);
    await sql.run('delete from deliveries where seq = any ($1::bigint[])', gone);
  }
  return rows.filter((row) => !isOrphan(row)).map(toDelivery);
}

/** True where its endpoint is gone. */
function isOrphan({ origin, endpoint_id }: DeliveryRow): boolean {
  return origin === 'endpoint' && endpoint_id === null;
}

async function release(
  sql: Sql,
  deliveries: readonly { readonly id: string; readonly epoch: number }[],
): Promise<void> {
  await sql.run(
    `
    update deliveries
    set worker = null
    from unnest($1::text[], $2::bigint[]) as given (id, epoch)
    where deliveries.id = given.id and deliveries.epoch = given.epoch and deliveries.worker is not null
    `,
    deliveries.map(({ id }) => id),
    deliveries.map(({ epoch }) => epoch),
  );
}

interface Settlement {
  readonly id: string;
  readonly epoch: number;
  readonly now: number;
  readonly result: DeliveryResult;
  readonly trace: AttemptTrace | undefined;
}

interface JudgedEndpoint {
  readonly seq: number;
  readonly failing_since: number | null;
}

async function settle(sql: Sql, { id, epoch, now, result, trace }: Settlement): Promise<Fenced> {
  // Before its delivery, as whoever removes or disables it locks them. Events of its owner do not wait for this lock.
  const endpoint = await sql.get<JudgedEndpoint>(
    `
    select seq, failing_since
    from webhook_endpoints
    where seq = (select endpoint from deliveries where id = $1)
    for no key update
    `,
    id,
  );
  const settled = await sql.run(
    `
    update deliveries
    set state = $1, next_at = coalesce($2, next_at), attempts = attempts + 1, last_attempt_at = $3,
      last_status_code = $4, last_duration_ms = $5, last_response = $6, last_error = $7, worker = null
    where id = $8 and epoch = $9 and worker is not null
    `,
    result.kind === 'retry' ? 'pending' : result.kind,
    result.kind === 'retry' ? result.at : null,
    now,
    result.statusCode,
    trace?.durationMs ?? null,
    trace?.response ?? null,
    result.kind === 'delivered' ? null : result.error,
    id,
    epoch,
  );
  if (settled === 0) return 'lost';
  if (endpoint !== undefined) await judge(sql, endpoint, result, now);
  return 'ok';
}

/** Notes how an endpoint does after an attempt, and disables it where it is to be. */
async function judge(
  sql: Sql,
  { seq, failing_since: before }: JudgedEndpoint,
  result: DeliveryResult,
  now: number,
): Promise<void> {
  const { failingSince, disabledReason } = judgeEndpoint(before, result, now);
  if (failingSince !== before) {
    await sql.run('update webhook_endpoints set failing_since = $1 where seq = $2', failingSince, seq);
  }
  if (disabledReason !== null) await disableEndpoint(sql, seq, disabledReason, now);
}
