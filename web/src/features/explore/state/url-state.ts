/** Everything of explore that a link carries, typed. Junk in the URL becomes the default, never an error. */
import type { UrlSearch } from '@/lib/router/search-text';
import { DEFAULT_RANGE, parseTime, type TimeRange } from '@/lib/time/range';

export type Order = 'asc' | 'desc';

export interface ExploreState {
  query: string;
  range: TimeRange;
  /** Names of the columns in front of the message, in order. */
  columns: string[];
  order: Order;
  live: boolean;
  /** Id of the record that the detail panel shows. */
  record: string | undefined;
  /** True when the panel shows what happened around the record. */
  context: boolean;
}

export const DEFAULT_COLUMNS: readonly string[] = ['timestamp', 'level', 'service'];
/** More columns than anybody reads, few enough to draw. */
export const COLUMNS_MAX = 20;
const NAME_CHARS_MAX = 512;
const QUERY_CHARS_MAX = 16_384;

export function readExploreState(search: UrlSearch): ExploreState {
  return {
    query: (search.q ?? '').slice(0, QUERY_CHARS_MAX),
    range: readRange(search.from, search.to),
    columns: search.columns === undefined ? [...DEFAULT_COLUMNS] : readColumns(search.columns),
    order: search.order === 'asc' ? 'asc' : 'desc',
    live: search.live === '1',
    record: readId(search.record),
    context: search.context === '1' && readId(search.record) !== undefined,
  };
}

/** The shortest URL that reads back as this state. */
export function writeExploreState(state: ExploreState): UrlSearch {
  const search: UrlSearch = {};
  if (state.query !== '') search.q = state.query;
  if (state.range.from !== DEFAULT_RANGE.from) search.from = state.range.from;
  if (state.range.to !== DEFAULT_RANGE.to) search.to = state.range.to;
  const columns = writeColumns(state.columns);
  if (columns !== writeColumns(DEFAULT_COLUMNS)) search.columns = columns;
  if (state.order === 'asc') search.order = 'asc';
  if (state.live) search.live = '1';
  if (state.record !== undefined) search.record = state.record;
  if (state.record !== undefined && state.context) search.context = '1';
  return search;
}

function readRange(from: string | undefined, to: string | undefined): TimeRange {
  const range = { from: from ?? DEFAULT_RANGE.from, to: to ?? DEFAULT_RANGE.to };
  const now = Date.now();
  const fromMs = parseTime(range.from, now);
  const toMs = parseTime(range.to, now);
  return fromMs !== undefined && toMs !== undefined && fromMs < toMs ? range : { ...DEFAULT_RANGE };
}

/** Names are separated by commas; a comma or backslash in a name has a backslash before it. `-` is no column. */
function readColumns(text: string): string[] {
  const names = [...text.matchAll(/(?:\\.|[^\\,])+/g)].map(([name]) => name.replace(/\\(.)/g, '$1'));
  const good = names.filter((name) => name !== '-' && name !== 'message' && name.length <= NAME_CHARS_MAX);
  return [...new Set(good)].slice(0, COLUMNS_MAX);
}

function writeColumns(columns: readonly string[]): string {
  return columns.map((name) => name.replace(/[\\,]/g, '\\$&')).join(',') || '-';
}

function readId(text: string | undefined): string | undefined {
  return text !== undefined && /^[\w.:-]{1,128}$/.test(text) ? text : undefined;
}
