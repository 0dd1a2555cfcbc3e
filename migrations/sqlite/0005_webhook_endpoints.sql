create table webhook_endpoints (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  name text not null,
  url text not null,
  -- JSON
  event_types text not null,
  status text not null check (status in ('enabled', 'disabled')),
  disabled_reason text check (disabled_reason in ('gone', 'failing')),
  -- Since when no attempt has succeeded; null: the last one did.
  failing_since integer,
  -- As they are: a signature can be made of nothing else.
  secret text not null,
  secret_hint text not null,
  -- The replaced secret, and until when it signs as well.
  old_secret text,
  old_secret_until integer,
  created_at integer not null,
  updated_at integer not null
) strict;

-- listWebhookEndpoints: an owner's endpoints, newest first.
create index webhook_endpoints_by_owner on webhook_endpoints (owner, created_at);
-- Each event: the endpoints that may want it.
create index webhook_endpoints_enabled on webhook_endpoints (owner) where status = 'enabled';

-- deliveries once more, for its checks cannot be changed: with endpoints, and what their history tells.
create table deliveries_with_endpoints (
  seq integer primary key,
  id text not null unique,
  event integer not null references events (seq) on delete cascade,
  url text not null,
  origin text not null check (origin in ('configured', 'batch', 'endpoint')),
  -- No foreign key: what has ended outlives its endpoint until its event is purged.
  endpoint integer check ((endpoint is not null) = (origin = 'endpoint')),
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  created_at integer not null,
  -- When the next attempt is due, as long as it is pending.
  next_at integer not null,
  attempts integer not null default 0,
  last_attempt_at integer,
  last_status_code integer,
  last_duration_ms integer,
  -- How the last answer's body began.
  last_response text,
  last_error text,
  worker text,
  epoch integer not null default 0
) strict;

insert into deliveries_with_endpoints (
  seq, id, event, url, origin, state, created_at, next_at, attempts, last_attempt_at, last_status_code, last_error,
  worker, epoch
)
select
  d.seq, d.id, d.event, d.url, d.origin, d.state, e.created_at, d.next_at, d.attempts, d.last_attempt_at,
  d.last_status_code, d.last_error, d.worker, d.epoch
from deliveries d
  join events e on e.seq = d.event;

drop table deliveries;
alter table deliveries_with_endpoints rename to deliveries;

-- claimDeliveries: the longest due first. (releaseDeadLeases walks it, too: all that are pending.)
create index deliveries_pending on deliveries (next_at) where state = 'pending';
-- purgeEvents, replayEvents: the deliveries of an event.
create index deliveries_by_event on deliveries (event);
-- listDeliveries: those of an endpoint, newest first.
create index deliveries_by_endpoint on deliveries (endpoint) where endpoint is not null;
-- deleteWebhookEndpoint, disabling, a new URL: those that wait for an endpoint.
create index deliveries_pending_by_endpoint on deliveries (endpoint) where state = 'pending' and endpoint is not null;

-- replayEvents: an owner's events by time.
create index events_by_owner on events (owner, created_at);
