import { spawnSync } from 'node:child_process';
import { hasS3Server } from '../../helpers/s3-server.ts';
import type { Fault, Need } from './fault.ts';

const checks: Readonly<Record<Need, () => boolean>> = {
  root: () => process.getuid?.() === 0,
  strace: () => spawnSync('strace', ['-f', 'true']).status === 0,
  faketime: () => spawnSync('faketime', ['2030-01-01', 'true']).status === 0,
  radosgw: hasS3Server,
};

/** What the fault needs and this machine has not; `apt-get install strace faketime radosgw ceph-mon ceph-osd ceph-common` brings most of it. */
export function missingNeeds({ needs = [] }: Fault): Need[] {
  return needs.filter((need) => !checks[need]());
}
