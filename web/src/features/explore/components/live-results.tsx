/** The live tail: arrivals of the last minute, state, newest records on top. */
import { Button } from '@mantine/core';
import { useEffect, useMemo, useState } from 'react';
import { MessageState } from '@/components/message-state';
import { ColumnsMenu } from '@/features/explore/components/columns-menu';
import classes from '@/features/explore/components/explore.module.css';
import { LazyHistogram } from '@/features/explore/components/lazy-histogram';
import { LiveBar } from '@/features/explore/components/live-bar';
import { ResultsTable } from '@/features/explore/components/results-table';
import { levelQuery } from '@/features/explore/components/search-histogram';
import { arrivalBuckets, WINDOW_SECONDS } from '@/features/explore/live/rate';
import type { Tail } from '@/features/explore/live/use-tail';
import type { Explore } from '@/features/explore/state/use-explore-state';
import type { RecordNavigation } from '@/features/explore/state/use-record-navigation';
import { plural } from '@/lib/format';

interface LiveResultsProps extends Explore {
  tail: Tail;
  paused: boolean;
  onPause: () => void;
  onAtTop: (atTop: boolean) => void;
  navigation: RecordNavigation;
}

export function LiveResults(props: LiveResultsProps) {
  const { state, resolved, update, tail, paused, navigation } = props;
  const nowMs = useSeconds();
  const data = useMemo(() => {
    const toMs = Math.floor(nowMs / 1000) * 1000 + 1000;
    const buckets = arrivalBuckets(tail.arrivals, nowMs);
    return { buckets, intervalMs: 1000, fromMs: toMs - WINDOW_SECONDS * 1000, toMs };
  }, [tail.arrivals, nowMs]);
  const waiting = tail.buffer.waiting.length + tail.buffer.skipped;
  const toNewest = () => navigation.table.current?.scrollTo(0);
  return (
    <>
      <LazyHistogram
        data={data}
        stale={false}
        onLevel={(level) => update({ query: levelQuery(state.query, level) })}
      />
      <div className={classes.bar} style={{ paddingLeft: 0 }}>
        <div style={{ flex: 1 }}>
          <LiveBar tail={tail} paused={paused} nowMs={nowMs} onPause={props.onPause} />
        </div>
        <ColumnsMenu
          columns={state.columns}
          resolved={resolved}
          onChange={(columns) => update({ columns }, { replace: true })}
        />
      </div>
      {tail.buffer.shown.length === 0 ? (
        <Waiting query={state.query} update={update} />
      ) : (
        <ResultsTable
          records={tail.buffer.shown}
          columns={state.columns}
          query={state.query}
          order="desc"
          activeId={navigation.activeId}
          openId={state.record}
          pill={
            waiting > 0 && !paused ? (
              <Button radius="xl" onClick={toNewest}>
                ↑ {plural(waiting, 'new record')}
              </Button>
            ) : undefined
          }
          onOpen={navigation.open}
          onMove={navigation.move}
          onRemoveColumn={(name) => update({ columns: state.columns.filter((item) => item !== name) })}
          onAtTop={props.onAtTop}
          handle={navigation.table}
        />
      )}
    </>
  );
}

function Waiting({ query, update }: Pick<Explore, 'update'> & { query: string }) {
  const hasQuery = query.trim() !== '';
  return (
    <MessageState
      icon="broadcast"
      title={hasQuery ? 'Waiting for the next match' : 'Waiting for the next record'}
      actions={
        <>
          {hasQuery && (
            <Button variant="default" onClick={() => update({ query: '' })}>
              Watch everything
            </Button>
          )}
          <Button variant="default" onClick={() => update({ live: false })}>
            Search stored records
          </Button>
        </>
      }
    >
      New records appear here the moment they arrive, newest on top.
    </MessageState>
  );
}

/** The time now, once a second. */
function useSeconds(): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNowMs(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  return nowMs;
}
