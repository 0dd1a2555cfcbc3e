import { vi } from 'vitest';
import { describeStoreContract } from '../contracts/store.ts';
import { usePostgres } from '../helpers/postgres.ts';

const postgres = usePostgres();

// Ten thousand parts of an upload, one after the other, take their time where each is a round trip.
vi.setConfig({ testTimeout: 60_000 });

describeStoreContract('PostgreSQL', () => postgres.openStore());
