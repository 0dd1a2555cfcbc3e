import Database from 'better-sqlite3';

/** Each blob that rows name once, for one that several name has one size. */
export const NAMED_BLOBS = `
  select blob_key as key, bytes from files
  union
  select blob_key as key, bytes from upload_parts
  union
  select input_key as key, input_bytes as bytes
  from batches
  where input_key is not null and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
`;

/** True where a row of the SQLite file at `path`, whose tables are up to date, names a blob. */
export function namesBlobs({ path }: { readonly path: string }): boolean {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare<[], number>(`select exists (${NAMED_BLOBS})`).pluck().get() === 1;
  } finally {
    db.close();
  }
}
