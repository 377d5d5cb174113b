import { describe, expect, it } from 'vitest';
import { addBatch, addHistory, EMPTY_BUFFER, release } from '@/features/explore/live/tail-buffer';
import { type LogRecord, narrowRecord } from '@/lib/record';

function record(id: string, second: number): LogRecord {
  const timestamp = `2026-11-22T10:00:${String(second).padStart(2, '0')}Z`;
  const narrowed = narrowRecord({ id, timestamp, message: id });
  if (narrowed === undefined) throw new Error('the record was refused');
  return narrowed;
}

const ids = (records: readonly LogRecord[]) => records.map((item) => item.id);

describe('tail buffer', () => {
  it('puts the newest on top', () => {
    const first = addBatch(EMPTY_BUFFER, [record('a', 1), record('b', 2)], false);
    expect(ids(addBatch(first, [record('c', 3)], false).shown)).toEqual(['c', 'b', 'a']);
  });

  it('shows a repeated record once, also when it waits', () => {
    const first = addBatch(EMPTY_BUFFER, [record('a', 1), record('a', 1)], false);
    const held = addBatch(first, [record('a', 1), record('b', 2)], true);
    const again = addBatch(held, [record('b', 2)], true);
    expect(again.received).toBe(2);
    expect(ids(again.waiting)).toEqual(['b']);
  });

  it('holds arrivals back and lets them in', () => {
    const held = addBatch(addBatch(EMPTY_BUFFER, [record('a', 1)], false), [record('b', 2)], true);
    expect(ids(held.shown)).toEqual(['a']);
    expect(ids(release(held).shown)).toEqual(['b', 'a']);
    expect(release(held).waiting).toEqual([]);
  });

  it('is bounded, and counts what it lets go while held', () => {
    const batch = Array.from({ length: 5 }, (_, at) => record(`r${at}`, at));
    expect(ids(addBatch(EMPTY_BUFFER, batch, false, 3).shown)).toEqual(['r4', 'r3', 'r2']);
    const held = addBatch(EMPTY_BUFFER, batch, true, 3);
    expect(held.skipped).toBe(2);
    expect(ids(release(held, 3).shown)).toEqual(['r4', 'r3', 'r2']);
  });

  it('puts stored records behind what has arrived', () => {
    const live = addBatch(EMPTY_BUFFER, [record('b', 2)], false);
    expect(ids(addHistory(live, [record('a', 1), record('b', 2)]).shown)).toEqual(['b', 'a']);
  });
});
