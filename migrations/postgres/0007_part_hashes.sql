-- Equal parts of an upload are known by their bytes, for a store may give equal blobs different keys. The key is the hash on disk; of
-- those that are here in another store nothing is known, so a part like them counts by itself.
alter table upload_parts add column sha256 text not null default '';
update upload_parts set sha256 = blob_key;

drop index upload_parts_by_upload;
-- The parts of an upload, and whether it has one with these bytes.
create index upload_parts_by_upload on upload_parts (upload, sha256);
