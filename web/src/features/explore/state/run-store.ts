/** What the requests of the page share and no link carries: the moment of "now", and where a zoom began. */
import { create } from 'zustand';
import type { TimeRange } from '@/lib/time/range';

interface RunStore {
  /** The moment that "now" means, so that table, histogram and facets agree. */
  nowMs: number;
  refresh: () => void;
  /** The range before the first brush. */
  zoomBase: TimeRange | undefined;
  setZoomBase: (range: TimeRange | undefined) => void;
}

export const useRunStore = create<RunStore>((set) => ({
  nowMs: Date.now(),
  refresh: () => set({ nowMs: Date.now() }),
  zoomBase: undefined,
  setZoomBase: (zoomBase) => set({ zoomBase }),
}));
