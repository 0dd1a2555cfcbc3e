-- Which API a batch was created through.
alter table batches add column format text not null default 'openai' check (format in ('openai', 'anthropic'));
-- Of an ended batch: failed lines that its cancelling or its deadline came before.
alter table batches add column unfinished integer not null default 0;
-- listBatches, listBatchesBefore: an owner's batches of one format, by creation. Nothing else reads the index that it replaces.
create index batches_by_format on batches (owner, format, created_at);
drop index batches_by_owner;
