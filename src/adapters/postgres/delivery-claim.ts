/** Which deliveries a claim takes. */
import { createShareOut, receiverText } from '../../engine/webhooks/delivery-share.ts';
import type { DeliveryShare } from '../../engine/webhooks/delivery-share.ts';
import { MAX_DELIVERY_WAIT_MS } from '../../engine/webhooks/event.ts';
import type { Delivery } from '../../engine/webhooks/event.ts';
import type { WebhookEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import { toDelivery } from '../sql/delivery-rows.ts';
import type { DeliveryRow } from '../sql/delivery-rows.ts';
import type { Sql } from './database.ts';
import { endLeft } from './endpoint-status.ts';
import { SLICE } from './slices.ts';

interface ClaimQuery {
  readonly worker: string;
  readonly now: number;
  readonly limit: number;
  readonly share: DeliveryShare | undefined;
}

/** See `Store`. Within the caller's transaction. */
export async function claimDeliveries(sql: Sql, query: ClaimQuery): Promise<Delivery[]> {
  const { now } = query;
  // Nothing is put off for so long: the clock was set back since. The next claims recall what this one leaves.
  await sql.run(
    `
    update deliveries
    set next_at = $1
    where seq in (
      select seq from deliveries where state = 'pending' and next_at > $2 limit $3 for update skip locked
    )
    `,
    now,
    now + MAX_DELIVERY_WAIT_MS,
    SLICE,
  );
  const taken = await take(sql, query);
  return await read(sql, taken);
}

interface DueDelivery {
  readonly seq: number;
  readonly url: string;
  readonly next_at: number;
}

/** Due deliveries are looked at so many at a time. */
const PAGE = 200;
/** So many ways to write receivers are left out: there are few, unless somebody writes one in a thousand ways. */
const MAX_FULL = 100;

/**
 * Page by page, the longest due first, without those of receivers that were found to have all of their share: of one that never
 * answers there may be very many.
 */
async function take(sql: Sql, query: ClaimQuery): Promise<readonly DueDelivery[]> {
  const { now, limit } = query;
  const taken: DueDelivery[] = [];
  const full = new Set<string>();
  let after = { next_at: -1, seq: -1 };
  for (;;) {
    const due = await sql.all<DueDelivery>(
      `
      select d.seq, coalesce(w.url, d.url) as url, d.next_at
      from deliveries d
        left join webhook_endpoints w on w.seq = d.endpoint
      where d.state = 'pending' and d.worker is null and d.next_at <= $1 and (d.next_at, d.seq) > ($2, $3)
        and coalesce(w.url, d.url) not like all ($4::text[])
      order by d.next_at, d.seq
      limit $5
      `,
      now,
      after.next_at,
      after.seq,
      [...full].flatMap(patternsOf),
      PAGE,
    );
    const left = await takeFitting(sql, query, taken, due);
    const last = due.at(-1);
    if (last === undefined || due.length < PAGE || taken.length === limit) return taken;
    for (const { url } of left) if (full.size < MAX_FULL) full.add(receiverText(url));
    after = last;
  }
}

/** Adds to `taken` what fits of a page; answers the others. What another worker takes at the same moment does not count. */
async function takeFitting(
  sql: Sql,
  query: ClaimQuery,
  taken: DueDelivery[],
  due: readonly DueDelivery[],
): Promise<readonly DueDelivery[]> {
  const { limit, share } = query;
  for (let left = due; ;) {
    const held = [...(share?.held ?? []), ...taken.map(({ url }) => url)];
    const fits = share === undefined ? () => true : createShareOut({ ...share, held });
    const chosen = new Set<DueDelivery>();
    for (const delivery of left) {
      if (taken.length + chosen.size < limit && fits(delivery.url)) chosen.add(delivery);
    }
    if (chosen.size === 0) return left;
    const seqs = new Set(await hold(sql, query, [...chosen]));
    taken.push(...[...chosen].filter(({ seq }) => seqs.has(seq)));
    left = left.filter((delivery) => !chosen.has(delivery));
  }
}

/** Answers the `seq`s of those that no other worker holds, or is about to. */
async function hold(
  sql: Sql,
  { worker, now }: ClaimQuery,
  chosen: readonly DueDelivery[],
): Promise<readonly number[]> {
  const rows = await sql.all<{ readonly seq: number }>(
    `
    update deliveries
    set worker = $1, epoch = epoch + 1
    where seq in (
      select seq
      from deliveries
      where seq = any ($2::bigint[]) and state = 'pending' and worker is null and next_at <= $3
      for update skip locked
    )
    returning seq
    `,
    worker,
    chosen.map(({ seq }) => seq),
    now,
  );
  return rows.map(({ seq }) => seq);
}

/** What the URLs of a receiver look like, as patterns for `like`. */
function patternsOf(receiver: string): string[] {
  const literal = receiver.replaceAll(/[\\%_]/g, '\\$&');
  // What is no URL stands for itself alone.
  return receiver.includes('://')
    ? ['', '/%', String.raw`\\%`, '?%', '#%'].map((rest) => literal + rest)
    : [literal];
}

interface TakenRow extends DeliveryRow {
  readonly seq: number;
  readonly endpoint: number | null;
  /** Of the endpoint; null: there is none. */
  readonly status: WebhookEndpoint['status'] | null;
}

/** What is to be attempted of what was taken. */
async function read(sql: Sql, taken: readonly DueDelivery[]): Promise<Delivery[]> {
  if (taken.length === 0) return [];
  const rows = await sql.all<TakenRow>(
    `
    select
      d.seq, d.id, coalesce(w.url, d.url) as url, d.origin, d.attempts, d.epoch, d.endpoint, w.id as endpoint_id, w.status,
      e.id as event_id, e.owner, e.batch_id, e.format, e.type, e.created_at
    from deliveries d
      join events e on e.seq = d.event
      left join webhook_endpoints w on w.seq = d.endpoint
    where d.seq = any ($1::bigint[])
    order by d.next_at, d.seq
    `,
    taken.map(({ seq }) => seq),
  );
  await endInVain(
    sql,
    rows.filter((row) => !isWanted(row)),
  );
  return rows.filter(isWanted).map(toDelivery);
}

function isWanted({ endpoint, status }: TakenRow): boolean {
  return endpoint === null || status === 'enabled';
}

/** Ends what waits for endpoints that are gone or disabled, as these should have done: none of it may keep others from being delivered. */
async function endInVain(sql: Sql, rows: readonly TakenRow[]): Promise<void> {
  if (rows.length === 0) return;
  const seqsOf = (some: readonly TakenRow[]) => some.map(({ seq }) => seq);
  const orphans = rows.filter(({ status }) => status === null);
  await sql.run('delete from deliveries where seq = any ($1::bigint[])', seqsOf(orphans));
  const disabled = rows.filter(({ status }) => status === 'disabled');
  await sql.run('update deliveries set worker = null where seq = any ($1::bigint[])', seqsOf(disabled));
  const endpoints = new Set(disabled.map(({ endpoint }) => endpoint));
  for (const endpoint of endpoints) if (endpoint !== null) await endLeft(sql, endpoint);
}
