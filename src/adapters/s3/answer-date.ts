import type { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';

/** Dates of answers have whole seconds only: what happened in the second itself is not from the future. */
const RESOLUTION_MS = 1000;

/**
 * When the store answered the command, by its own clock, milliseconds since 1970: ask after the answer. Ages are told from it,
 * for the clock of this machine may be wrong, and what is too young for its row must not be taken for old.
 */
export function readDate(command: ListObjectsV2Command | ListMultipartUploadsCommand): () => number {
  let date = '';
  const { middlewareStack } = command as ListObjectsV2Command;
  middlewareStack.add(
    (next) => async (request) => {
      const answer = await next(request);
      const { headers } = answer.response as { readonly headers: Readonly<Record<string, string>> };
      date = headers['date'] ?? '';
      return answer;
    },
    // Outside of what reads the answer, so that it is there.
    { step: 'deserialize', priority: 'high' },
  );
  return () => {
    const time = Date.parse(date);
    if (Number.isNaN(time))
      throw Object.assign(new Error('S3 answered without a date.'), { code: 'ES3DATE' });
    return time + RESOLUTION_MS;
  };
}
