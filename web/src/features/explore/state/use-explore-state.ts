/** Reads explore's state from the URL and writes it back. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo, useRef } from 'react';
import { useRunStore } from '@/features/explore/state/run-store';
import { type ExploreState, readExploreState, writeExploreState } from '@/features/explore/state/url-state';
import type { UrlSearch } from '@/lib/router/search-text';
import { type ResolvedRange, resolveRange } from '@/lib/time/range';

export type UpdateExplore = (patch: Partial<ExploreState>, options?: { replace?: boolean }) => void;

/** What every part of explore is given. */
export interface Explore {
  state: ExploreState;
  /** The range in milliseconds, with "now" frozen at the last run. */
  resolved: ResolvedRange;
  update: UpdateExplore;
}

export function useExploreState(): Explore {
  const search = useSearch({ strict: false }) as UrlSearch;
  const navigate = useNavigate();
  const nowMs = useRunStore((store) => store.nowMs);
  const refresh = useRunStore((store) => store.refresh);
  const state = useMemo(() => readExploreState(search), [search]);
  const { from, to } = state.range;
  const resolved = useMemo(() => resolveRange({ from, to }, nowMs), [from, to, nowMs]);

  const latest = useRef(state);
  latest.current = state;
  const update = useCallback<UpdateExplore>(
    (patch, options) => {
      const next = { ...latest.current, ...patch };
      // Two updates in one event must both count.
      latest.current = next;
      if (patch.query !== undefined || patch.range || patch.live !== undefined) refresh();
      void navigate({ to: '/', search: writeExploreState(next), replace: options?.replace ?? false });
    },
    [navigate, refresh],
  );
  return { state, resolved, update };
}
