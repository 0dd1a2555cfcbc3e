import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { describeAgreement } from '../contracts/agreement/index.ts';

describeAgreement('SQLite', () => openSqliteStore({ path: ':memory:' }), {
  numRuns: 60,
});
