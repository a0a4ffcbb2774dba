import { Lru } from '../../functions/lru';

describe('what a warm instance remembers', () => {
  it('never passes its limit, and forgets what was not used for longest', () => {
    const forgotten: string[] = [];
    const lru = new Lru<string>(
      6,
      (value) => value.length,
      (value) => forgotten.push(value),
    );
    lru.set('a', 'aa');
    lru.set('b', 'bb');
    lru.set('c', 'cc');
    expect(lru.get('a')).toBe('aa');
    lru.set('d', 'ddd');
    expect(forgotten).toEqual(['bb', 'cc']);
    expect(lru.get('a')).toBe('aa');
  });

  it('keeps nothing larger than all of it', () => {
    const lru = new Lru<string>(2, (value) => value.length);
    lru.set('a', 'aaa');
    expect(lru.get('a')).toBeUndefined();
  });

  it('does not remember what failed', async () => {
    const lru = new Lru<number>(1);
    await expect(lru.remember('a', () => Promise.reject(new Error('not yet')))).rejects.toThrow('not yet');
    expect(await lru.remember('a', async () => 1)).toBe(1);
  });

  it('gives a thing away once, and does not give it back to the next', () => {
    const lru = new Lru<number>(1);
    lru.set('a', 1);
    expect(lru.take('a')).toBe(1);
    expect(lru.take('a')).toBeUndefined();
  });
});
