-- Which API the batch of an event was created through: it outlives the batch, and tells under which id clients know that.
alter table events add column format text not null default 'openai' check (format in ('openai', 'anthropic'));
update events set format = 'anthropic' where batch_id in (select id from batches where format = 'anthropic');
