/**
 * Sentences about failed calls. Those of `failureMessage` end up in result files, so they name no address and
 * quote nothing of the error but its code.
 */

type CodedError = Error & { readonly code?: string };

/** Why no connection could be opened. For the operator's log. */
export function unreachableMessage(origin: string, error: CodedError): string {
  return `cannot connect to ${origin}: ${error.code ?? error.message}`;
}

/** Why a request that was sent has no answer. */
export function failureMessage(error: CodedError): string {
  const code = error.code ?? error.name;
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') return LENGTH_MISMATCH;
  if (error.name === 'HTTPParserError') return "The upstream's answer is not valid HTTP.";
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return "The headers of the upstream's answer are too large.";
  return `The connection to the upstream was lost before its answer was complete (${code}).`;
}

export const LENGTH_MISMATCH = "The length of the upstream's answer is not what its content-length says.";
export const UNASKED_BYTES =
  'The upstream sent more than one answer, or more bytes than its content-length says.';

export function timeoutMessage(timeoutMs: number): string {
  return `The upstream gave no complete answer within ${timeoutMs} ms.`;
}

export function tooLargeMessage(maxResponseBytes: number): string {
  return `The upstream's answer is larger than ${maxResponseBytes} bytes.`;
}
