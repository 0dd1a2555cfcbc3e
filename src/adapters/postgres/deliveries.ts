import type { AttemptTrace, DeliveryResult, Fenced, Store } from '../../engine/ports.ts';
import { judgeEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import type { WebhookEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import type { Database, Sql } from './database.ts';
import { claimDeliveries } from './delivery-claim.ts';
import { disableEndpoint, endRest } from './endpoint-status.ts';
import { inSlices, SLICE } from './slices.ts';

export type DeliveryVerbs = Pick<
  Store,
  'claimDeliveries' | 'settleDelivery' | 'releaseDeliveries' | 'purgeEvents'
>;

/** The attempts to bring events to URLs. */
export function createDeliveryVerbs(db: Database): DeliveryVerbs {
  return {
    claimDeliveries: (worker, now, limit, share) =>
      db.transaction((sql) => claimDeliveries(sql, { worker, now, limit, share }), release),
    async settleDelivery(id, epoch, now, result, trace) {
      const { fenced, disabled } = await db.transaction((sql) =>
        settle(sql, { id, epoch, now, result, trace }),
      );
      if (disabled !== null) await endRest(db, disabled);
      return fenced;
    },
    releaseDeliveries: (deliveries) => db.transaction((sql) => release(sql, deliveries)),
    purgeEvents: (before) =>
      inSlices(db, (sql) =>
        sql.run(
          `
          delete from events
          where seq in (
            select e.seq
            from events e
            where e.created_at < $1
              and not exists (select 1 from deliveries d where d.event = e.seq and d.state = 'pending')
            order by e.created_at
            limit $2
            for update skip locked
          )
          `,
          before,
          SLICE,
        ),
      ),
  };
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
  readonly status: WebhookEndpoint['status'];
  readonly failing_since: number | null;
}

interface Settled {
  readonly fenced: Fenced;
  /** The `seq` of the endpoint that it had disabled. */
  readonly disabled: number | null;
}

async function settle(sql: Sql, { id, epoch, now, result, trace }: Settlement): Promise<Settled> {
  // Before its delivery, as whoever removes or disables it locks them. Events of its owner do not wait for this lock.
  const endpoint = await sql.get<JudgedEndpoint>(
    `
    select seq, status, failing_since
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
  if (settled === 0) return { fenced: 'lost', disabled: null };
  // One that is disabled by now has nothing more to be judged by.
  const isJudged = endpoint !== undefined && endpoint.status === 'enabled';
  const isDisabled = isJudged && (await judge(sql, endpoint, result, now));
  return { fenced: 'ok', disabled: isDisabled ? endpoint.seq : null };
}

/** Notes how an endpoint does after an attempt, and disables it where it is to be; true then. */
async function judge(
  sql: Sql,
  { seq, failing_since: before }: JudgedEndpoint,
  result: DeliveryResult,
  now: number,
): Promise<boolean> {
  const { failingSince, disabledReason } = judgeEndpoint(before, result, now);
  if (failingSince !== before) {
    await sql.run('update webhook_endpoints set failing_since = $1 where seq = $2', failingSince, seq);
  }
  if (disabledReason === null) return false;
  await disableEndpoint(sql, seq, disabledReason, now);
  return true;
}
