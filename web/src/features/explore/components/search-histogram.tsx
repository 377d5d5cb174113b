/** The histogram of a search: brushing zooms in, and back again. */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { ErrorBoundary } from '@/components/error-boundary';
import { errorText } from '@/components/error-state';
import { histogramQuery } from '@/features/explore/api/histogram';
import classes from '@/features/explore/components/histogram.module.css';
import { HistogramSkeleton, LazyHistogram } from '@/features/explore/components/lazy-histogram';
import { useRunStore } from '@/features/explore/state/run-store';
import type { Explore } from '@/features/explore/state/use-explore-state';
import type { LevelGroup } from '@/lib/level';
import { useProject } from '@/lib/project';
import { appendClause, onlyValue } from '@/lib/query/edit';

export function SearchHistogram({ state, resolved, update }: Explore) {
  const histogram = useQuery(histogramQuery(useProject(), state.query, resolved));
  const zoomBase = useRunStore((store) => store.zoomBase);
  const setZoomBase = useRunStore((store) => store.setZoomBase);
  const { fromMs, toMs } = resolved;
  const data = useMemo(
    () =>
      histogram.data && {
        buckets: histogram.data.buckets,
        intervalMs: histogram.data.intervalMs,
        fromMs,
        toMs,
      },
    [histogram.data, fromMs, toMs],
  );
  if (histogram.isError) {
    return (
      <div className={classes.root} role="alert">
        <p style={{ margin: 8, color: 'var(--text-2)' }}>
          The histogram did not load. {errorText(histogram.error)}
        </p>
      </div>
    );
  }
  if (data === undefined) return <HistogramSkeleton />;
  const brush = (from: number, to: number) => {
    if (zoomBase === undefined) setZoomBase(state.range);
    update({
      range: { from: new Date(from).toISOString(), to: new Date(to).toISOString() },
      record: undefined,
    });
  };
  const reset = () => {
    if (zoomBase) update({ range: zoomBase });
    setZoomBase(undefined);
  };
  return (
    <ErrorBoundary what="the histogram">
      <LazyHistogram
        data={data}
        stale={histogram.isPlaceholderData}
        onBrush={brush}
        onResetZoom={zoomBase && reset}
        onLevel={(level) => update({ query: levelQuery(state.query, level), record: undefined })}
      />
    </ErrorBoundary>
  );
}

export function levelQuery(query: string, level: LevelGroup): string {
  return level === 'none' ? appendClause(query, '-level:*') : onlyValue(query, 'level', level);
}
