import { S3Client } from '@aws-sdk/client-s3';

/** How objects are addressed: `https://host/bucket/key`, or `https://bucket.host/key`. */
export type AddressingStyle = 'path' | 'virtual';

export interface S3Connection {
  /** The usual AWS settings say it where it is not given, and so for `region` and `credentials`. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** There is no usual setting for this. Default: `path` where an endpoint is set, which nearly all servers want; else `virtual`. */
  readonly addressingStyle?: AddressingStyle | undefined;
  /** A connection must open in this time; milliseconds. */
  readonly connectTimeoutMs?: number | undefined;
  /** Something must be sent or received in this time, else the request has failed; milliseconds. */
  readonly idleTimeoutMs?: number | undefined;
  /** Requests that may succeed the next time are made so often. Default: AWS_MAX_ATTEMPTS, else 3. */
  readonly maxAttempts?: number | undefined;
}

/** However slowly bytes still go out, no request takes longer to be answered; milliseconds. */
const ANSWER_TIMEOUT_MS = 600_000;

/** What servers that know no regions expect, and Amazon's own default. */
const DEFAULT_REGION = 'us-east-1';

/** A client none of whose requests can hang for ever. */
export async function createS3Client(connection: S3Connection): Promise<S3Client> {
  const given = definedOnly({
    endpoint: connection.endpoint,
    credentials: connection.credentials,
    maxAttempts: connection.maxAttempts,
  });
  const client = new S3Client({
    ...given,
    region: connection.region ?? (await configuredRegion()),
    // Else requests carry checksums that many servers do not know, and answers are buffered to check them.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A handshake before each part, on a connection of its own, costs more than a refused part does.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: connection.connectTimeoutMs ?? 5000,
      socketTimeout: connection.idleTimeoutMs ?? 30_000,
      requestTimeout: ANSWER_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      // A slow reader holds a connection: with a limit, some of them would hold up everybody.
      httpAgent: { maxSockets: Infinity },
      httpsAgent: { maxSockets: Infinity },
    },
  });
  const { addressingStyle } = connection;
  const resolve = client.config.endpointProvider;
  client.config.endpointProvider = (parameters, context) => {
    const isOther = parameters.Endpoint !== undefined;
    const ForcePathStyle = addressingStyle === undefined ? isOther : addressingStyle === 'path';
    return resolve({ ...parameters, ForcePathStyle }, context);
  };
  return client;
}

async function configuredRegion(): Promise<string> {
  const client = new S3Client({});
  return await client.config.region().catch(() => DEFAULT_REGION);
}

function definedOnly<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
