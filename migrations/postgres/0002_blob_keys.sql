-- A blob is known by the key that its store gave it: the hash of its bytes, and in a store that many processes share more than that.
alter table files rename column sha256 to blob_key;
alter table upload_parts rename column sha256 to blob_key;
alter table batches rename column input_sha256 to input_key;
