-- Files that come in parts. An upload stays for a while after its end, so that late calls hear what became of it.
create table uploads (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  filename text not null,
  purpose text not null,
  bytes integer not null,
  expires_after_seconds integer,
  created_at integer not null,
  expires_at integer not null,
  status text not null check (status in ('pending', 'completed', 'cancelled', 'expired')),
  file_id text,
  ended_at integer,
  -- Rows of upload_parts, and the bytes of these, equal parts counted once.
  parts integer not null default 0,
  part_bytes integer not null default 0
) strict;

-- expireUploads: the longest expired first.
create index uploads_pending on uploads (expires_at) where status = 'pending';
-- removeUploadParts: ended uploads that have parts left.
create index uploads_with_parts on uploads (ended_at) where ended_at is not null and parts > 0;
-- purgeUploads: the longest ended first.
create index uploads_ended on uploads (ended_at) where ended_at is not null and parts = 0;

create table upload_parts (
  seq integer primary key,
  id text not null unique,
  upload integer not null references uploads (seq),
  sha256 text not null,
  bytes integer not null,
  created_at integer not null
) strict;

-- The parts of an upload, and whether it has one with these bytes.
create index upload_parts_by_upload on upload_parts (upload, sha256);
-- blobInUse: does a part have these bytes?
create index upload_parts_by_blob on upload_parts (sha256);
