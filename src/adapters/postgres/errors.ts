/** What errors of PostgreSQL, and of the connection to it, mean. */

/** SQLSTATE by class: connection lost or refused, resources, operator intervention, system error; and a server that takes no writes. */
const UNAVAILABLE = /^(08|53|57|58|25006)/;
const DISK_FULL = '53100';
/** Serialization failure, deadlock: the same transaction may well succeed when it is made again. */
const REPEATABLE = new Set(['40001', '40P01']);

/** Codes of the system: of connections, and of names that cannot be looked up (EAI_AGAIN). Node's own (ERR_…) are faults of this program. */
const SYSTEM = /^E(AI_)?[A-Z]+$/;
/** Errors of the driver that have no code. */
const LOST_IN_WORDS = /^Connection terminated|^Query read timeout|^Client .* is not queryable/;

/** True where the transaction was undone because of others, and may be made again. */
export function isRepeatable(error: unknown): boolean {
  return REPEATABLE.has(codeOf(error));
}

/**
 * True where the connection is gone, so that it is not known what became of what was sent last, or of no use any more: its server
 * takes no writes, as one that others have taken the place of, and a new connection may lead to these.
 */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  return /^(08|57P|25P0[34]|25006)/.test(code) || SYSTEM.test(code) || LOST_IN_WORDS.test(error.message);
}

/**
 * The error as the engine knows failing storage: by a `code` that begins with E, ENOSPC for a full disk. Errors that are
 * faults of this program pass unchanged.
 */
export function toStorageError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = codeOf(error);
  if (code === DISK_FULL) return withCode(error, 'ENOSPC');
  if (UNAVAILABLE.test(code) || isRepeatable(error)) return withCode(error, `EPG${code}`);
  if (isConnectionLost(error) && !SYSTEM.test(code)) return withCode(error, 'ECONNRESET');
  if (/timeout exceeded when trying to connect/.test(error.message)) return withCode(error, 'ETIMEDOUT');
  return error;
}

function withCode(cause: Error, code: string): Error {
  return Object.assign(new Error(cause.message, { cause }), { code });
}

/** The code of an error of the driver, the database or the system; '' for others. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
