/** Counts over time by level; drag to zoom, click a level of the legend to filter for it. */
import { Button, UnstyledButton, useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useEffect, useRef, useState } from 'react';
import { Icon } from '@/components/icon';
import type { Bucket } from '@/features/explore/api/histogram';
import classes from '@/features/explore/components/histogram.module.css';
import { createPlot, type Plot, type PlotData, STACK } from '@/features/explore/components/histogram-plot';
import { formatCompact, formatCount, formatDuration, plural } from '@/lib/format';
import { emptySums, type LevelGroup } from '@/lib/level';
import { fullTime } from '@/lib/time/timestamp';

export interface HistogramProps {
  data: PlotData;
  /** True while newer counts are on their way. */
  stale: boolean;
  /** Absent in live mode, where the range moves by itself. */
  onBrush?: (fromMs: number, toMs: number) => void;
  onResetZoom?: () => void;
  onLevel: (level: LevelGroup) => void;
}

export default function Histogram({ data, stale, onBrush, onResetZoom, onLevel }: HistogramProps) {
  const [hover, setHover] = useState<{ index: number; left: number }>();
  const { ref: sizeRef, width } = useElementSize<HTMLDivElement>();
  const total = data.buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  const bucket = hover && data.buckets[hover.index];
  return (
    <section className={classes.root} aria-label="Records over time">
      <div className={classes.head}>
        <span className={classes.total}>{plural(total, 'record')}</span>
        <span className={classes.per}>per {formatDuration(data.intervalMs / 1000)}</span>
        {onResetZoom && (
          <Button
            variant="light"
            size="compact-xs"
            leftSection={<Icon name="zoom-reset" size={14} />}
            onClick={onResetZoom}
          >
            Reset zoom
          </Button>
        )}
        <Legend buckets={data.buckets} onLevel={onLevel} />
      </div>
      <div ref={sizeRef}>
        <Canvas
          data={data}
          stale={stale}
          width={width}
          total={total}
          onBrush={onBrush}
          onHover={(index, left) => setHover(index === null ? undefined : { index, left })}
        />
      </div>
      {hover && bucket && <HoverCard bucket={bucket} left={Math.min(Math.max(hover.left, 90), width - 80)} />}
    </section>
  );
}

interface CanvasProps {
  data: PlotData;
  stale: boolean;
  width: number;
  total: number;
  onBrush: HistogramProps['onBrush'];
  onHover: (index: number | null, left: number) => void;
}

function Canvas(props: CanvasProps) {
  const { data, stale, width, total } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const scheme = useComputedColorScheme('light');
  const canBrush = props.onBrush !== undefined;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read anew in another scheme
  useEffect(() => {
    if (host.current === null) return;
    const created = createPlot(host.current, latest.current.data, {
      onBrush: canBrush ? (from, to) => latest.current.onBrush?.(from, to) : undefined,
      onHover: (index, left) => latest.current.onHover(index, left),
    });
    plot.current = created;
    return () => created.destroy();
  }, [scheme, canBrush]);

  useEffect(() => plot.current?.setData(data), [data]);
  useEffect(() => {
    if (width > 0 && host.current) plot.current?.setSize(width, host.current.clientHeight);
  }, [width]);

  return (
    <div
      ref={host}
      className={classes.plot}
      data-stale={stale || undefined}
      data-testid="histogram"
      role="img"
      aria-label={`${plural(total, 'record')} in ${plural(data.buckets.length, 'interval')}`}
    />
  );
}

function Legend({ buckets, onLevel }: { buckets: readonly Bucket[]; onLevel: HistogramProps['onLevel'] }) {
  const sums = emptySums();
  for (const bucket of buckets) for (const level of STACK) sums[level] += bucket.levels[level];
  return (
    <div className={classes.legend}>
      {STACK.filter((level) => sums[level] > 0).map((level) => (
        <UnstyledButton
          key={level}
          className={classes.legendItem}
          onClick={() => onLevel(level)}
          title={level === 'none' ? 'Show only records without a level' : `Show only ${level}`}
          aria-label={`${level === 'none' ? 'no level' : level}: ${plural(sums[level], 'record')}; show only these`}
        >
          <span className={classes.swatch} style={{ background: `var(--bar-${level})` }} />
          {level === 'none' ? 'no level' : level}
          <strong>{formatCompact(sums[level])}</strong>
        </UnstyledButton>
      ))}
    </div>
  );
}

function HoverCard({ bucket, left }: { bucket: Bucket; left: number }) {
  return (
    <div className={classes.tooltip} style={{ left }}>
      <div className={classes.tooltipTime}>
        {fullTime(new Date(bucket.startMs).toISOString()).slice(0, 19)}
      </div>
      {STACK.filter((level) => bucket.levels[level] > 0).map((level) => (
        <div key={level} className={classes.tooltipRow}>
          <span className={classes.swatch} style={{ background: `var(--bar-${level})` }} />
          <span>{level === 'none' ? 'no level' : level}</span>
          <span>{formatCount(bucket.levels[level])}</span>
        </div>
      ))}
      {bucket.count === 0 && <div>no records</div>}
    </div>
  );
}
