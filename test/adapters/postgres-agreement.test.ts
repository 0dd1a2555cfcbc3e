import { describeAgreement } from '../contracts/agreement/index.ts';
import { usePostgres } from '../helpers/postgres.ts';

const postgres = usePostgres();

describeAgreement('PostgreSQL', () => postgres.openStore(), { numRuns: 6 });
