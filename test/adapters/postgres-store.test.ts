import { describeStoreContract } from '../contracts/store.ts';
import { usePostgres } from '../helpers/postgres.ts';

const postgres = usePostgres();

describeStoreContract('PostgreSQL', () => postgres.openStore());
