-- Models with a limit that any worker has ever named. Whoever shares a limit out locks its row: only one at a time does.
create table limited_models (
  model text collate "C" primary key
);

-- What of a model's limit is set aside for a worker. Goes with the worker.
create table model_slots (
  model text collate "C" not null,
  worker text not null references workers (id) on delete cascade,
  slots integer not null,
  -- The limit as this worker knows it.
  model_limit integer not null,
  -- renewLease: all of a model.
  primary key (model, worker)
) with (fillfactor = 50);

-- renewLease, releaseDeadLeases: those of a worker.
create index model_slots_by_worker on model_slots (worker);
