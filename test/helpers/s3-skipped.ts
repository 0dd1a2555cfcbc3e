import { readS3Settings } from './s3-settings.ts';

/** Null where the tests have an S3 server, else why they have none and how they get one. */
export const S3_SKIPPED =
  readS3Settings() === null
    ? 'The tests on S3 are SKIPPED. With Ceph installed: scripts/s3-gateway.sh start FOLDER && . FOLDER/env && npm test'
    : null;
