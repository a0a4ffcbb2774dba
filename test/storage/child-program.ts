import { openExchange, openObjectStore } from '../../storage/index';

/** What the conformance suites let other processes do. Arguments: what, the store's URI, and what the task needs. */
const [task = '', uri = '', ...rest] = process.argv.slice(2);

const filled = (byte: number, bytes: number) => new Uint8Array(bytes).fill(byte);
const say = (message: unknown) => new Promise<void>((sent) => process.send?.(message, () => sent()));
const go = () => new Promise<void>((started) => process.once('message', () => started()));
const seconds = (count: number) => performance.now() + count * 1_000;

async function run(): Promise<void> {
  switch (task) {
    case 'decide': {
      // Every racer offers its own number for each name, at the same moment.
      const [own = '0', ...names] = rest;
      const store = await openObjectStore(uri);
      await say('ready');
      await go();
      const winners: number[] = [];
      for (const name of names) winners.push((await store.decide(name, filled(Number(own), 100_000)))[0] ?? -1);
      return say(winners);
    }
    case 'replace': {
      const [name = '', bytes = ''] = rest;
      const store = await openObjectStore(uri);
      const untilMs = seconds(30);
      await store.replace(name, filled(0, Number(bytes)));
      await say('ready');
      for (let i = 0; performance.now() < untilMs; i++) await store.replace(name, filled(i % 200, Number(bytes)));
      return;
    }
    case 'put-many': {
      const [prefix = '', bytes = ''] = rest;
      const store = await openObjectStore(uri);
      await say('ready');
      const untilMs = seconds(30);
      for (let i = 0; performance.now() < untilMs; i++) await store.putValue(`${prefix}${i}`, filled(i % 200, Number(bytes)));
      return;
    }
    case 'exchange-put-many': {
      const [prefix = '', bytes = ''] = rest;
      const exchange = await openExchange(uri);
      await say('ready');
      const untilMs = seconds(30);
      for (let i = 0; performance.now() < untilMs; i++) await exchange.putValue(`${prefix}${i}`, [filled(i % 200, Number(bytes))]);
      return;
    }
    case 'exchange-race': {
      const [own = '0', ...names] = rest;
      const exchange = await openExchange(uri);
      await say('ready');
      await go();
      const wins: boolean[] = [];
      for (const name of names)
        wins.push(
          await exchange.putValue(name, [filled(Number(own), 50_000)]).then(
            () => true,
            (error: unknown) => {
              if ((error as { code?: string }).code !== 'NotDeterministic') throw error;
              return false;
            },
          ),
        );
      return say(wins);
    }
    case 'exchange-answer': {
      // Waits for each question and puts its answer: the parent measures the whole way there and back.
      const exchange = await openExchange(uri);
      await say('ready');
      const [prefix = '', count = ''] = rest;
      for (let i = 0; i < Number(count); i++) {
        const missing = await exchange.waitFor([`${prefix}steps/${i}/params/ask`], { timeoutMs: 20_000 });
        if (missing.length > 0) throw new Error(`never asked for ${i}`);
        await exchange.putValue(`${prefix}steps/${i}/state/answer`, [filled(i % 200, 1_000)]);
      }
      await exchange.close();
      return;
    }
    case 'read-denied': {
      const [name = ''] = rest;
      const store = await openObjectStore(uri);
      const outcome = async (attempt: Promise<unknown>) =>
        attempt.then(
          () => 'done',
          (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
        );
      return say([await outcome(store.get(name)), await outcome(store.head(name)), await outcome(store.putValue('other', filled(1, 1)))]);
    }
    default:
      throw new Error(`unknown task ${task}`);
  }
}

run().then(
  () => process.disconnect(),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
