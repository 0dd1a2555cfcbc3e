/** What errors of S3, and of the connection to it, mean. */

/** How stores say that they are full: by a code that ends so (QuotaExceeded, XMinioStorageFull), or by this status. */
const FULL = /(QuotaExceeded|StorageFull)$/;
const INSUFFICIENT_STORAGE = 507;

/** True where there is no such object (`NotFound` is how an answer without a body says it). */
export function isMissing(error: unknown): boolean {
  return nameOf(error) === 'NoSuchKey' || nameOf(error) === 'NotFound';
}

/** True where there is no such multipart upload, or none any more. */
export function isUploadMissing(error: unknown): boolean {
  return nameOf(error) === 'NoSuchUpload';
}

/** True where the object ends before the range that was asked for. */
export function isOutOfRange(error: unknown): boolean {
  return nameOf(error) === 'InvalidRange' || statusOf(error) === 416;
}

/**
 * The error as the engine knows failing storage: by a `code` that begins with E, ENOSPC for a full store. Nothing of the
 * request is kept but its id. Errors that are faults of this program pass unchanged.
 */
export function toStorageError(error: unknown): unknown {
  if (!(error instanceof Error) || !isStorage(error)) return error;
  const code = codeOf(error);
  if (/^E[A-Z0-9]+$/.test(code)) return withCode(error, code);
  if (FULL.test(error.name) || statusOf(error) === INSUFFICIENT_STORAGE) return withCode(error, 'ENOSPC');
  if (error.name === 'TimeoutError') return withCode(error, 'ETIMEDOUT');
  return withCode(error, `ES3${error.name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '')}`);
}

/** Answers of the service, broken connections, and credentials that cannot be had. */
function isStorage(error: Error): boolean {
  return (
    '$metadata' in error ||
    codeOf(error) !== '' ||
    /^(TimeoutError|CredentialsProviderError|TokenProviderError)$/.test(error.name)
  );
}

function withCode(cause: Error, code: string): Error {
  return Object.assign(new Error(describe(cause)), { code });
}

/** One line for people: what kind of error, what it says, and what to ask the store's operator about. */
function describe(error: Error): string {
  // Connections to a name with several addresses fail without a message of their own, and answers may have none.
  const text = error.message === '' ? codeOf(error) : error.message;
  const kind = error.name === 'Error' || text.includes(error.name) ? '' : error.name;
  const id = metadataOf(error)?.requestId;
  const told = [kind, text === 'UnknownError' ? '' : text].filter((part) => part !== '').join(': ');
  return id === undefined ? told : `${told} (request ${id})`;
}

interface Metadata {
  readonly httpStatusCode?: number;
  readonly requestId?: string;
}

function metadataOf(error: unknown): Metadata | undefined {
  return (error as { readonly $metadata?: Metadata } | null)?.$metadata;
}

function statusOf(error: unknown): number | undefined {
  return metadataOf(error)?.httpStatusCode;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : '';
}
