/** The histogram, loaded apart with its plotting library: the records are there before it. */
import { Skeleton } from '@mantine/core';
import { lazy, Suspense } from 'react';
import type { HistogramProps } from '@/features/explore/components/histogram';
import classes from '@/features/explore/components/histogram.module.css';

const Histogram = lazy(() => import('@/features/explore/components/histogram'));

export function LazyHistogram(props: HistogramProps) {
  return (
    <Suspense fallback={<HistogramSkeleton />}>
      <Histogram {...props} />
    </Suspense>
  );
}

export function HistogramSkeleton() {
  return (
    <div className={classes.root} role="status" aria-label="Counting">
      <div className={classes.head}>
        <Skeleton height={12} width={110} />
      </div>
      <div className={classes.plot} style={{ padding: '6px 12px' }}>
        <Skeleton height="100%" />
      </div>
    </div>
  );
}
