-- What each owner has stored: the bytes of its files, and of the parts of its pending uploads. By triggers, so that no
-- statement that adds or removes either can forget to count; summing up its files would cost each create milliseconds.
create table owner_usage (
  owner text primary key,
  stored_bytes integer not null
) strict, without rowid;

insert into owner_usage (owner, stored_bytes)
select owner, sum(bytes)
from (
  select owner, bytes from files
  union all
  select owner, part_bytes from uploads where status = 'pending' and part_bytes > 0
)
group by owner;

create trigger count_inserted_file after insert on files begin
  insert into owner_usage (owner, stored_bytes) values (new.owner, new.bytes)
  on conflict (owner) do update set stored_bytes = stored_bytes + excluded.stored_bytes;
end;

create trigger count_deleted_file after delete on files begin
  update owner_usage set stored_bytes = stored_bytes - old.bytes where owner = old.owner;
end;

create trigger count_upload_part after update of part_bytes on uploads
when new.status = 'pending' and new.part_bytes <> old.part_bytes begin
  insert into owner_usage (owner, stored_bytes) values (new.owner, new.part_bytes - old.part_bytes)
  on conflict (owner) do update set stored_bytes = stored_bytes + excluded.stored_bytes;
end;

create trigger count_ended_upload after update of status on uploads
when old.status = 'pending' and new.status <> 'pending' and old.part_bytes > 0 begin
  update owner_usage set stored_bytes = stored_bytes - old.part_bytes where owner = old.owner;
end;

-- Lines of a live batch that have no result yet; 0 until they are known. Kept by each commit, for the chunks of all
-- batches of an owner are too many to be summed up by each create.
alter table batches add column lines_left integer not null default 0;
update batches
set lines_left = total - (select coalesce(sum(c.completed + c.failed), 0) from chunks c where c.batch = batches.seq)
where status in ('validating', 'in_progress', 'finalizing', 'cancelling');

-- readOwnerUsage, createBatch, submitBatch, startBatch: an owner's live batches.
create index batches_live_by_owner on batches (owner)
  where status in ('validating', 'in_progress', 'finalizing', 'cancelling');

-- Null: no limit but its owner's.
alter table api_keys add column requests_per_minute integer;
