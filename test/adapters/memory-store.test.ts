import { createMemoryStore } from '../../src/adapters/memory/index.ts';
import { describeStoreContract } from '../contracts/store.ts';

describeStoreContract('the store in memory', createMemoryStore);
