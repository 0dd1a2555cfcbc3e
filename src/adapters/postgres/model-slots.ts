/** What each worker may have of limited models. */
import { shareSlots } from '../../engine/run/model-share.ts';
import type { ModelDemand, ModelSlots, SlotHolder } from '../../engine/run/model-share.ts';
import type { Sql } from './database.ts';

interface HolderRow extends SlotHolder {
  readonly model: string;
}

/**
 * Shares the limits of `demands` out anew to a worker that is alive; it has no slots of other models any more. Whoever does so for
 * a model waits for the one before, and then sees what that one wrote: each statement reads what is committed when it begins.
 */
export async function shareModels(
  sql: Sql,
  worker: string,
  demands: readonly ModelDemand[],
): Promise<ModelSlots[]> {
  const models = demands.map(({ model }) => model);
  if (models.length > 0) await lockModels(sql, models);
  await sql.run('delete from model_slots where worker = $1 and model <> all ($2::text[])', worker, models);
  if (models.length === 0) return [];
  await forgetTheDead(sql, worker, models);
  const rows = await sql.all<HolderRow>(
    'select model, worker, slots, model_limit as "limit" from model_slots where model = any ($1::text[])',
    models,
  );
  const shares = demands.map((demand) => {
    const holders = rows.filter(({ model }) => model === demand.model);
    const own = holders.find((holder) => holder.worker === worker)?.slots ?? 0;
    const others = holders.filter((holder) => holder.worker !== worker);
    return shareSlots(worker, demand, own, others);
  });
  await sql.run(
    `
    insert into model_slots (model, worker, slots, model_limit)
    select model, $1, slots, model_limit
    from unnest($2::text[], $3::integer[], $4::integer[]) as given (model, slots, model_limit)
    on conflict (model, worker) do update set slots = excluded.slots, model_limit = excluded.model_limit
    where (model_slots.slots, model_slots.model_limit) is distinct from (excluded.slots, excluded.model_limit)
    `,
    worker,
    models,
    shares.map(({ setAside }) => setAside),
    demands.map(({ limit }) => limit),
  );
  return shares.map(({ slots, share }, i) => ({ model: models[i] as string, slots, share }));
}

/** All in the same order, so that no two wait for each other. */
async function lockModels(sql: Sql, models: readonly string[]): Promise<void> {
  await sql.run(
    `
    insert into limited_models (model)
    select model from unnest($1::text[]) as given (model) order by model collate "C"
    on conflict (model) do nothing
    `,
    models,
  );
  await sql.run(
    'select from limited_models where model = any ($1::text[]) order by model for update',
    models,
  );
}

/**
 * What was set aside for dead workers is free, and their rows go here, not only with their leases: one that is about to renew its
 * lease after all must not find it still set aside.
 */
async function forgetTheDead(sql: Sql, worker: string, models: readonly string[]): Promise<void> {
  await sql.run(
    `
    delete from model_slots s
    where s.model = any ($1::text[]) and s.worker <> $2
      and not exists (select 1 from workers w where w.id = s.worker and w.alive_until >= clock_timestamp())
    `,
    models,
    worker,
  );
}
