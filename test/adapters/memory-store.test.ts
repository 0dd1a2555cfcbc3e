import { createMemoryStore } from '../../src/adapters/memory/store.ts';
import { describeStoreContract } from '../contracts/store.ts';

describeStoreContract('the memory store', createMemoryStore);
