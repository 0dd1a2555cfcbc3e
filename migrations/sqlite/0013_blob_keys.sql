-- A blob is known by the key that its store gave it: the hash of its bytes on disk, more than that where many processes share the
-- store.
alter table files rename column sha256 to blob_key;
alter table upload_parts rename column sha256 to blob_key;
alter table batches rename column input_sha256 to input_key;
