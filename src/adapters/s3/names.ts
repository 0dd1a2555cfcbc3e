/** What objects are called below the prefix. */

export const BLOBS = 'blobs/';
const KEY = /^[0-9a-f]{64}$/;

/** The object of a blob. Throws for anything but a key, so that no name leads elsewhere. */
export function blobName(key: string): string {
  if (!KEY.test(key)) throw new Error(`${JSON.stringify(key)} is not the key of a blob in S3`);
  return BLOBS + key;
}

/** The blob in an object of this name, or null where it is none. */
export function blobOfName(name: string): string | null {
  const key = name.slice(BLOBS.length);
  return name.startsWith(BLOBS) && KEY.test(key) ? key : null;
}

/** The object of a piece of results. Throws for names that would lead elsewhere. */
export function resultName(name: string): string {
  if (!/^\w[\w.-]*(\/\w[\w.-]*)*$/.test(name))
    throw new Error(`${JSON.stringify(name)} is no name of a result object`);
  return `results/${name}`;
}
