-- A row for each connection of each process, with the number of the last transaction that it committed: what tells whether one was
-- committed whose answer was lost. Numbers of PostgreSQL's own (xid) do not: those that a crash forgot are given out again. Whoever asks
-- gives a transaction up that has not committed by then, so that it cannot any more. A row changes with each transaction, so its page
-- has room for new versions, and nothing that changes is in an index.
create table commit_marks (
  id text primary key,
  number bigint not null,
  given_up bigint not null default 0,
  used_at timestamptz not null,
  check (number <> given_up)
) with (fillfactor = 50);
