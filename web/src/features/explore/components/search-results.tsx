/** Stored records: histogram, count and cost of the search, table with endless paging. */
import { Button, Loader, Skeleton } from '@mantine/core';
import type { UseInfiniteQueryResult } from '@tanstack/react-query';
import { type InfiniteData, useQuery } from '@tanstack/react-query';
import { type ReactNode, useCallback, useState } from 'react';
import { ErrorState, errorText } from '@/components/error-state';
import { MessageState } from '@/components/message-state';
import { histogramQuery } from '@/features/explore/api/histogram';
import type { SearchPage } from '@/features/explore/api/search';
import { ColumnsMenu } from '@/features/explore/components/columns-menu';
import classes from '@/features/explore/components/explore.module.css';
import { ExportMenu } from '@/features/explore/components/export-menu';
import { NoMatches } from '@/features/explore/components/no-matches';
import { ResultsTable } from '@/features/explore/components/results-table';
import { SearchHistogram } from '@/features/explore/components/search-histogram';
import type { Explore } from '@/features/explore/state/use-explore-state';
import type { RecordNavigation } from '@/features/explore/state/use-record-navigation';
import { isStatus } from '@/lib/api/api-error';
import { hasRecordsQuery } from '@/lib/api/get-has-records';
import { formatBytes, formatCompact, formatCount, formatElapsed, plural } from '@/lib/format';
import { useProject } from '@/lib/project';
import type { LogRecord } from '@/lib/record';

export interface SearchResultsProps extends Explore {
  search: UseInfiniteQueryResult<InfiniteData<SearchPage>>;
  records: readonly LogRecord[];
  navigation: RecordNavigation;
  /** Shown when the project holds no record at all. */
  firstRun: ReactNode;
}

export function SearchResults(props: SearchResultsProps) {
  const { state, resolved, update, search, records } = props;
  const empty = search.isSuccess && records.length === 0 && !search.isPlaceholderData;
  const any = useQuery({ ...hasRecordsQuery(useProject()), enabled: empty });
  const firstRun = empty && any.data === null;
  // The page of the first run stays when the record arrives, to say so: this search does not know of it yet.
  const [firstRunAt, setFirstRunAt] = useState<number>();
  if (firstRun && firstRunAt !== search.dataUpdatedAt) setFirstRunAt(search.dataUpdatedAt);
  if (empty && (firstRun || firstRunAt === search.dataUpdatedAt)) {
    return <div style={{ overflow: 'auto', flex: 1 }}>{props.firstRun}</div>;
  }
  return (
    <>
      {!search.isError && <SearchHistogram {...{ state, resolved, update }} />}
      {!(search.isError && records.length === 0) && (
        <div className={classes.bar}>
          <Stats {...props} />
          <div className={classes.tools}>
            <ColumnsMenu
              columns={state.columns}
              resolved={resolved}
              onChange={(columns) => update({ columns }, { replace: true })}
            />
            <ExportMenu query={state.query} resolved={resolved} />
          </div>
        </div>
      )}
      <Body {...props} empty={empty} />
    </>
  );
}

function Body(props: SearchResultsProps & { empty: boolean }) {
  const { state, resolved, update, search, records, navigation, empty } = props;
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = search;
  const loadMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage && !isFetchNextPageError) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage]);
  if (search.isPending) return <TableSkeleton />;
  if (search.isError && records.length === 0) return <SearchError {...props} />;
  if (empty) return <NoMatches {...{ state, resolved, update }} />;
  return (
    <ResultsTable
      records={records}
      columns={state.columns}
      query={state.query}
      order={state.order}
      activeId={navigation.activeId}
      openId={state.record}
      stale={search.isPlaceholderData}
      footer={<Footer search={search} count={records.length} />}
      onOpen={navigation.open}
      onMove={navigation.move}
      onOrder={() => update({ order: state.order === 'desc' ? 'asc' : 'desc' })}
      onRemoveColumn={(name) => update({ columns: state.columns.filter((item) => item !== name) })}
      onNearEnd={loadMore}
      handle={navigation.table}
    />
  );
}

function SearchError({ search, update }: SearchResultsProps) {
  if (!isStatus(search.error, 422)) {
    return <ErrorState error={search.error} title="The search failed" onRetry={() => search.refetch()} />;
  }
  return (
    <MessageState
      icon="search"
      title="This search can’t be read"
      actions={
        <Button variant="default" onClick={() => update({ query: '' })}>
          Clear the search
        </Button>
      }
    >
      {errorText(search.error)} The place is underlined in the search bar.
    </MessageState>
  );
}

function Footer({ search, count }: { search: SearchResultsProps['search']; count: number }) {
  if (search.isFetchNextPageError) {
    return (
      <>
        <span>The next records did not load. {errorText(search.error)}</span>
        <Button variant="default" size="compact-xs" onClick={() => search.fetchNextPage()}>
          Try again
        </Button>
      </>
    );
  }
  if (search.isFetchingNextPage) return <Loader size={16} aria-label="Loading more records" />;
  return search.hasNextPage ? null : <span>End of the results: {plural(count, 'record')}</span>;
}

function Stats({ search, records, state, resolved }: SearchResultsProps) {
  const histogram = useQuery({
    ...histogramQuery(useProject(), state.query, resolved),
    enabled: false,
  });
  const stats = search.data?.pages[0]?.stats;
  if (stats === undefined || search.isError) return <span className={classes.stats} />;
  const matched = stats.matched ?? histogram.data?.total;
  return (
    <span className={classes.stats} data-testid="stats">
      <strong>{formatCount(records.length)}</strong>
      {matched !== undefined && ` of ${formatCount(Math.max(matched, records.length))}`} shown
      <span className={classes.cost}>
        {` · ${formatCompact(stats.scanned_rows)} rows scanned · ${formatBytes(stats.scanned_bytes)} · ${formatElapsed(stats.elapsed_ms)}`}
      </span>
    </span>
  );
}

function TableSkeleton() {
  const widths = Array.from({ length: 24 }, (_, index) => 38 + ((index * 37) % 55));
  return (
    <div className={classes.skeleton} role="status" aria-label="Searching">
      {widths.map((width, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: bars of a skeleton never change
        <Skeleton key={index} height={10} my={16} width={`${width}%`} />
      ))}
    </div>
  );
}
