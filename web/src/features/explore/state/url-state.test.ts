import { describe, expect, it } from 'vitest';
import {
  COLUMNS_MAX,
  type ExploreState,
  readExploreState,
  writeExploreState,
} from '@/features/explore/state/url-state';
import { parseSearchText, stringifySearch } from '@/lib/router/search-text';

describe('the URL', () => {
  it('is empty for the state at first', () => {
    expect(writeExploreState(readExploreState({}))).toEqual({});
  });

  it('carries the whole state there and back', () => {
    const state: ExploreState = {
      query: 'a & b=1 "ü" +500%',
      range: { from: '2026-11-22T10:00:00.000Z', to: '2026-11-22T11:00:00.000Z' },
      columns: ['timestamp', 'a,b', 'c\\d', 'x y'],
      order: 'asc',
      live: true,
      record: '0123abc-7',
      context: true,
    };
    const url = stringifySearch({ ...writeExploreState(state) });
    expect(readExploreState(parseSearchText(url))).toEqual(state);
  });

  it('tells no columns from the columns at first', () => {
    const none = { ...readExploreState({}), columns: [] };
    expect(readExploreState(writeExploreState(none)).columns).toEqual([]);
  });

  it('keeps a number of a query a text', () => {
    expect(readExploreState(parseSearchText('?q=500')).query).toBe('500');
  });

  it('makes the default of junk', () => {
    const state = readExploreState({
      from: 'soon',
      to: '<script>',
      order: 'sideways',
      live: 'yes',
      record: '../../etc',
      context: '1',
      columns: `,,${'x,'.repeat(3)}message,${Array.from({ length: 50 }, (_, at) => `c${at}`).join(',')}`,
    });
    expect(state).toMatchObject({
      range: { from: '-1h', to: 'now' },
      order: 'desc',
      live: false,
      record: undefined,
      context: false,
    });
    expect(state.columns.length).toBe(COLUMNS_MAX);
    expect(state.columns.slice(0, 2)).toEqual(['x', 'c0']);
  });
});
