/** Explore: search stored records, or watch new ones arrive. The URL holds the state; this puts the parts together. */

import type { EditorView } from '@codemirror/view';
import { useMediaQuery } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';
import { searchQuery } from '@/features/explore/api/search';
import classes from '@/features/explore/components/explore.module.css';
import { LiveResults } from '@/features/explore/components/live-results';
import { SearchResults } from '@/features/explore/components/search-results';
import { Toolbar } from '@/features/explore/components/toolbar';
import { NARROW_QUERY, Workspace } from '@/features/explore/components/workspace';
import { useTail } from '@/features/explore/live/use-tail';
import { useLayoutStore } from '@/features/explore/state/layout-store';
import { useRunStore } from '@/features/explore/state/run-store';
import { useExploreState } from '@/features/explore/state/use-explore-state';
import { useRecordNavigation } from '@/features/explore/state/use-record-navigation';
import { ApiError } from '@/lib/api/api-error';
import { useProject } from '@/lib/project';
import { useShortcuts } from '@/lib/use-shortcuts';

/** Results of a search left longer ago than this are searched anew on the way back. */
const STALE_RUN_MS = 15_000;

export function ExplorePage({ firstRun }: { firstRun: ReactNode }) {
  const explore = useExploreState();
  const { state, resolved, update } = explore;
  const { refresh, setZoomBase } = useRunStore.getState();
  const { facetsShown, toggleFacets } = useLayoutStore();
  const [drawer, setDrawer] = useState(false);
  const [timeOpened, setTimeOpened] = useState(false);
  const [paused, setPaused] = useState(false);
  const [atTop, setAtTop] = useState(true);
  const narrow = useMediaQuery(NARROW_QUERY) === true;
  const editor = useRef<EditorView>(null);

  useEffect(() => {
    if (Date.now() - useRunStore.getState().nowMs > STALE_RUN_MS) useRunStore.getState().refresh();
  }, []);
  const { live, query, order } = state;
  const project = useProject();
  useEffect(() => {
    if (!live) setPaused(false);
    setAtTop(true);
  }, [live]);

  const search = useInfiniteQuery({ ...searchQuery(project, { query, resolved, order }), enabled: !live });
  const tail = useTail(project, query, live, paused || !atTop);
  const pages = search.data?.pages;
  const found = useMemo(() => pages?.flatMap((page) => page.records) ?? [], [pages]);
  const records = live ? tail.buffer.shown : found;
  const navigation = useRecordNavigation(records, state, update);
  const failure = live ? tail.error : search.error;
  const problem = failure instanceof ApiError && failure.status === 422 ? failure : undefined;

  const toggleFilters = () => (narrow ? setDrawer(!drawer) : toggleFacets());
  useShortcuts({
    '/': () => editor.current?.focus(),
    j: () => navigation.move(1),
    k: () => navigation.move(-1),
    o: navigation.openActive,
    Enter: navigation.openActive,
    Escape: navigation.close,
    l: () => update({ live: !live, record: undefined }),
    p: () => live && setPaused(!paused),
    t: () => setTimeOpened(true),
    r: refresh,
    f: toggleFilters,
    c: navigation.copyActive,
    x: navigation.showContext,
  });

  return (
    <div className={classes.page}>
      <h1 className="visually-hidden">Explore logs</h1>
      <Toolbar
        {...explore}
        problem={problem}
        editor={editor}
        timeOpened={timeOpened}
        onTimeOpened={setTimeOpened}
        onRange={(range) => {
          setZoomBase(undefined);
          update({ range, live: false, record: undefined });
        }}
        onRefresh={refresh}
        onFacets={toggleFilters}
        loading={!live && search.isFetching && !search.isFetchingNextPage}
      />
      <Workspace
        {...explore}
        navigation={navigation}
        facetsShown={facetsShown}
        facetsDrawer={drawer}
        onCloseDrawer={() => setDrawer(false)}
      >
        {live ? (
          <LiveResults
            {...explore}
            tail={tail}
            paused={paused}
            onPause={() => setPaused(!paused)}
            onAtTop={setAtTop}
            navigation={navigation}
          />
        ) : (
          <SearchResults
            {...explore}
            search={search}
            records={found}
            navigation={navigation}
            firstRun={firstRun}
          />
        )}
      </Workspace>
    </div>
  );
}
