/** How tests get to their S3 server: what `scripts/s3-gateway.sh` exports. */

export interface S3Settings {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Null where `variables` name no server. */
export function readS3Settings(variables: NodeJS.Dict<string> = process.env): S3Settings | null {
  const endpoint = variables['TEST_S3_ENDPOINT'] ?? '';
  if (endpoint === '') return null;
  return {
    endpoint,
    region: 'us-east-1',
    credentials: {
      accessKeyId: variables['TEST_S3_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: variables['TEST_S3_SECRET_ACCESS_KEY'] ?? '',
    },
  };
}

/** The same as the usual AWS settings, for a service. */
export function awsVariables({
  endpoint,
  region,
  credentials,
}: S3Settings): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
}
